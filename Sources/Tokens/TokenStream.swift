// SPDX-License-Identifier: Apache-2.0

/// Turns the bytes of token after token into text as they come. A character whose bytes are not all there yet is held
/// back; bytes that can be no part of a character become U+FFFD. All that is returned, joined, equals
/// `String(decoding:as:)` of all the bytes. At most three bytes are held.
public struct TokenStream: Sendable {
    private var held: [UInt8] = []

    public init() {}

    /// The text that `bytes` complete; may be empty.
    public mutating func append(_ bytes: [UInt8]) -> String {
        held.append(contentsOf: bytes)
        let ready = held.count - Self.unfinished(held)
        defer { held.removeFirst(ready) }
        return String(decoding: held[..<ready], as: UTF8.self)
    }

    /// The text of what is still held: U+FFFD, or nothing. The stream is then empty and may be used again.
    public mutating func finish() -> String {
        defer { held = [] }
        return String(decoding: held, as: UTF8.self)
    }

    /// How many bytes at the end are the start of a character that needs more.
    private static func unfinished(_ bytes: [UInt8]) -> Int {
        for length in 1...3 where length <= bytes.count {
            let lead = bytes[bytes.count - length]
            if lead & 0xc0 == 0x80 { continue }
            guard length < needed(lead) else { return 0 }
            return length == 1 || allows(lead, second: bytes[bytes.count - length + 1]) ? length : 0
        }
        return 0
    }

    /// How many bytes a character that starts with `lead` has; 0 when none does.
    private static func needed(_ lead: UInt8) -> Int {
        switch lead {
        case 0xc2...0xdf: 2
        case 0xe0...0xef: 3
        case 0xf0...0xf4: 4
        default: 0
        }
    }

    /// The Unicode Standard, table 3-7: some lead bytes allow fewer second bytes than 80...BF.
    private static func allows(_ lead: UInt8, second: UInt8) -> Bool {
        switch lead {
        case 0xe0: second >= 0xa0
        case 0xed: second < 0xa0
        case 0xf0: second >= 0x90
        case 0xf4: second < 0x90
        default: true
        }
    }
}
