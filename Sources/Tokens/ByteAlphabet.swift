// SPDX-License-Identifier: Apache-2.0

/// The byte-level alphabet of GPT-2: a bijection from the 256 byte values to 256 printable characters, in which the
/// tokens and merges of a vocabulary are spelled.
///
/// The bytes `!`...`~`, `¡`...`¬` and `®`...`ÿ` stand for themselves as Latin-1 characters; the other 68, in increasing
/// order, are U+0100, U+0101 and so on up to U+0143. Every character is thus one or two bytes of UTF-8.
/// Source: "Language Models are Unsupervised Multitask Learners" (GPT-2), byte-level BPE.
struct ByteAlphabet: Sendable {
    /// The scalar value that spells each byte.
    let scalars: [UInt16]
    /// The byte each scalar value below 0x144 spells, or -1.
    private let bytes: [Int16]

    init() {
        var scalars = [UInt16](repeating: 0, count: 256), bytes = [Int16](repeating: -1, count: 0x144)
        var next: UInt16 = 0x100
        for byte in 0..<256 {
            let scalar = Self.isPrintable(byte) ? UInt16(byte) : next
            if scalar == next { next += 1 }
            scalars[byte] = scalar
            bytes[Int(scalar)] = Int16(byte)
        }
        (self.scalars, self.bytes) = (scalars, bytes)
    }

    private static func isPrintable(_ byte: Int) -> Bool {
        (0x21...0x7e).contains(byte) || (0xa1...0xac).contains(byte) || (0xae...0xff).contains(byte)
    }

    /// The UTF-8 of the character that spells `byte`: one or two bytes.
    func spelling(of byte: UInt8) -> [UInt8] {
        let scalar = scalars[Int(byte)]
        return scalar < 0x80 ? [UInt8(scalar)] : [0xc0 | UInt8(scalar >> 6), 0x80 | UInt8(scalar & 0x3f)]
    }

    /// Appends the bytes that `spelling` stands for. False, with nothing appended, when some character is not of the alphabet.
    func append(_ spelling: ArraySlice<UInt8>, to output: inout [UInt8]) -> Bool {
        let start = output.count
        var index = spelling.startIndex
        while index < spelling.endIndex {
            let lead = spelling[index]
            var scalar = Int(lead), length = 1
            if lead >= 0x80 {
                guard lead & 0xe0 == 0xc0, index + 1 < spelling.endIndex, spelling[index + 1] & 0xc0 == 0x80 else { break }
                (scalar, length) = (Int(lead & 0x1f) << 6 | Int(spelling[index + 1] & 0x3f), 2)
            }
            guard scalar < bytes.count, bytes[scalar] >= 0, length == 1 || scalar >= 0x80 else { break }
            output.append(UInt8(bytes[scalar]))
            index += length
        }
        if index == spelling.endIndex { return true }
        output.removeLast(output.count - start)
        return false
    }
}
