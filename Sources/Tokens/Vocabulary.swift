// SPDX-License-Identifier: Apache-2.0

/// The tokenizer's part of a model file, checked: what the `tokenizer.ggml.*` keys of a GGUF say.
///
/// Nothing is copied: the arrays are the caller's.
public struct Vocabulary: Sendable {
    /// What a token is for, as GGUF numbers it.
    enum Kind: Int32, Sendable {
        case undefined, normal, unknown, control, userDefined, unused, byte
    }

    /// How the text is cut into pieces before merging.
    enum Splitting: Sendable {
        /// GPT-2's pattern alone.
        case gpt2
        /// Every numeric scalar is a piece of its own; GPT-2's pattern cuts the rest.
        case smollm
    }

    let tokens: ByteStrings
    let kinds: [Kind]
    let merges: ByteStrings
    let splitting: Splitting
    let bos: Int32?
    let eos: Int32?
    let addsBOS: Bool

    /// - Parameters:
    ///   - tokens: the UTF-8 of every token as the file has it: normal ones spelled in the byte-level alphabet, control
    ///     and user-defined ones as themselves. The index is the token's id.
    ///   - types: one per token: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte.
    ///   - merges: `left right`, the most important first.
    ///   - pre: `tokenizer.ggml.pre`: `smollm`, `gpt-2` or `default`.
    ///   - model: `tokenizer.ggml.model`: `gpt2`.
    ///   - addsBOS: whether a prompt starts with `bos`. `Tokenizer.encode` never adds it.
    /// - Throws: when the lists disagree, an id is out of range, or the scheme is not one of those above.
    public init(
        tokens: ByteStrings, types: [Int32], merges: ByteStrings, pre: String, model: String, bos: Int32?, eos: Int32?, addsBOS: Bool
    ) throws(TokensError) {
        guard model == "gpt2" else {
            throw TokensError("tokenizer model \(quoted(model)) is not known: byte-level BPE, \"gpt2\", is the one that is")
        }
        guard !tokens.isEmpty, tokens.count == types.count, tokens.count < Int32.max, merges.count < Int32.max else {
            throw TokensError(
                "the vocabulary has \(tokens.count) tokens, \(types.count) token types and \(merges.count) merges: "
                    + "as many types as tokens are needed, and at least one")
        }
        for (name, id) in [("bos", bos), ("eos", eos)] {
            guard let id, !tokens.indices.contains(Int(id)) else { continue }
            throw TokensError(
                "the vocabulary's \(name) token is \(id), but it has tokens 0...\(tokens.count - 1): the file is damaged")
        }
        splitting = try Self.splitting(named: pre)
        kinds = try Self.kinds(types)
        (self.tokens, self.merges, self.bos, self.eos, self.addsBOS) = (tokens, merges, bos, eos, addsBOS)
    }

    /// The same, of strings that lie apart.
    public init(
        tokens: [[UInt8]], types: [Int32], merges: [[UInt8]], pre: String, model: String, bos: Int32?, eos: Int32?, addsBOS: Bool
    ) throws(TokensError) {
        try self.init(
            tokens: ByteStrings(tokens), types: types, merges: ByteStrings(merges), pre: pre, model: model, bos: bos, eos: eos, addsBOS: addsBOS)
    }

    private static func splitting(named pre: String) throws(TokensError) -> Splitting {
        switch pre {
        case "smollm": .smollm
        case "gpt-2", "default": .gpt2
        default: throw TokensError("pre-tokenizer \(quoted(pre)) is not known: \"smollm\", \"gpt-2\" and \"default\" are")
        }
    }

    private static func kinds(_ types: [Int32]) throws(TokensError) -> [Kind] {
        var kinds: [Kind] = []
        kinds.reserveCapacity(types.count)
        for (id, type) in types.enumerated() {
            guard let kind = Kind(rawValue: type) else {
                throw TokensError("token \(id) has type \(type): token types are 0...6, the file is damaged")
            }
            kinds.append(kind)
        }
        return kinds
    }
}

/// `text` in quotes on one line of printable text, cut after 60 characters.
func quoted(_ text: some StringProtocol) -> String {
    var shown = text.unicodeScalars.prefix(60).map { $0.escaped(asASCII: false) }.joined()
    if text.unicodeScalars.dropFirst(60).first != nil { shown += "…" }
    return "\"\(shown)\""
}
