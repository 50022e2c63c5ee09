// SPDX-License-Identifier: Apache-2.0

/// What GPT-2's pattern tells apart: `\p{L}`, `\p{N}`, `\s` and the rest.
///
/// Letters are those of Unicode 16, as in the reference tokenizer; a letter that came later is of the rest, whatever
/// version the standard library knows. The same text thus has the same tokens under every toolchain.
enum ScalarClass: Sendable {
    case letter, number, space, other

    /// The class of the scalar at `position` of valid UTF-8, and where the next one starts.
    @inline(__always)
    static func read(_ text: UnsafeBufferPointer<UInt8>, at position: Int) -> (kind: ScalarClass, end: Int) {
        let lead = text[position]
        return lead < 0x80 ? (ascii(lead), position + 1) : wide(text, lead, position)
    }

    @inline(__always)
    private static func ascii(_ byte: UInt8) -> ScalarClass {
        switch byte {
        case 0x61...0x7a, 0x41...0x5a: .letter
        case 0x20, 0x09...0x0d: .space
        case 0x30...0x39: .number
        default: .other
        }
    }

    private static func wide(_ text: UnsafeBufferPointer<UInt8>, _ lead: UInt8, _ position: Int) -> (kind: ScalarClass, end: Int) {
        let length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
        let end = min(position + length, text.count)
        var value = UInt32(lead) & (0x7f >> UInt32(length))
        for index in position + 1..<end { value = value << 6 | UInt32(text[index] & 0x3f) }
        return (Unicode.Scalar(value).map(of) ?? .other, end)
    }

    /// Every separator of category Z has the property White_Space; of the others only some controls have it.
    private static func of(_ scalar: Unicode.Scalar) -> ScalarClass {
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: isSettled(scalar) ? .letter : .other
        case .decimalNumber, .letterNumber, .otherNumber: .number
        case .spaceSeparator, .lineSeparator, .paragraphSeparator: .space
        case .control: scalar.properties.isWhitespace ? .space : .other
        default: .other
        }
    }

    /// Whether `scalar` was assigned by Unicode 16. Most text is of blocks that are full since long before.
    private static func isSettled(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0...0x86f, 0x3400...0x9fff, 0xac00...0xd7a3: true
        default: (scalar.properties.age?.major ?? 0) <= 16
        }
    }
}
