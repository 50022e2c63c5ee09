// SPDX-License-Identifier: Apache-2.0

/// The bytes every token stands for, one after another.
struct TokenTexts: Sendable {
    private var bytes: [UInt8] = []
    /// Where each token starts, and where the last one ends.
    private var offsets: [Int] = [0]

    /// Normal tokens are read in the byte-level alphabet, byte tokens as `<0xHH>`; special tokens and whatever has another
    /// form stand for themselves.
    init(_ vocabulary: Vocabulary, _ alphabet: ByteAlphabet) {
        offsets.reserveCapacity(vocabulary.tokens.count + 1)
        bytes.reserveCapacity(vocabulary.tokens.count * 8)
        for (token, kind) in zip(vocabulary.tokens, vocabulary.kinds) {
            append(token, kind, alphabet)
            offsets.append(bytes.count)
        }
    }

    /// Empty for an id out of range.
    subscript(id: Int32) -> ArraySlice<UInt8> {
        guard id >= 0, Int(id) < offsets.count - 1 else { return [] }
        return bytes[offsets[Int(id)]..<offsets[Int(id) + 1]]
    }

    private mutating func append(_ token: ArraySlice<UInt8>, _ kind: Vocabulary.Kind, _ alphabet: ByteAlphabet) {
        switch kind {
        case .control, .userDefined: bytes += token
        case .byte: if let byte = Self.byte(token) { bytes.append(byte) } else { bytes += token }
        case .undefined, .normal, .unknown, .unused: if !alphabet.append(token, to: &bytes) { bytes += token }
        }
    }

    private static func byte(_ token: ArraySlice<UInt8>) -> UInt8? {
        let text = String(decoding: token, as: UTF8.self)
        guard token.count == 6, text.hasPrefix("<0x"), text.hasSuffix(">") else { return nil }
        return UInt8(text.dropFirst(3).dropLast(), radix: 16)
    }
}
