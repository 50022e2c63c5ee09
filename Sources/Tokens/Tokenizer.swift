// SPDX-License-Identifier: Apache-2.0

/// Turns text into token ids and back: byte-level BPE with special tokens. A value; any number of threads may share it.
public struct Tokenizer: Sendable {
    /// How many tokens there are; ids are 0..<count.
    public let count: Int
    /// The token a sequence starts with, if the vocabulary names one.
    public let bos: Int32?
    /// The token a sequence ends with, if the vocabulary names one.
    public let eos: Int32?
    /// Whether the model was trained with `bos` before every prompt. `encode` does not add it.
    public let addsBOS: Bool
    /// The tokens that end an answer: `eos`, and the control tokens that families of models end a turn with.
    public let ends: Set<Int32>

    let preTokenizer: PreTokenizer
    let specials: SpecialTokens
    let merger: BytePairMerger
    private let texts: TokenTexts
    private let control: [Bool]

    private static let endNames = [
        "<|im_end|>", "<|endoftext|>", "<|end_of_text|>", "</s>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<end_of_turn>",
    ]

    /// - Throws: when a merge names a token that the vocabulary lacks.
    public init(_ vocabulary: Vocabulary) throws(TokensError) {
        let alphabet = ByteAlphabet(), index = TokenIndex(vocabulary.tokens)
        let specials = try SpecialTokens(vocabulary)
        let byteTokens = (0...255).map { (byte: UInt8) in index.find(alphabet.spelling(of: byte)) ?? -1 }
        let control = vocabulary.kinds.map { $0 == .control }
        merger = BytePairMerger(table: try MergeTable(vocabulary.merges, index), byteTokens: byteTokens)
        texts = TokenTexts(vocabulary, alphabet)
        preTokenizer = PreTokenizer(isolatesNumbers: vocabulary.splitting == .smollm)
        let named = Self.endNames.compactMap { specials.find($0) }.filter { control[Int($0)] }
        ends = Set(named + [vocabulary.eos].compactMap(\.self))
        (self.specials, self.control, count) = (specials, control, control.count)
        (bos, eos, addsBOS) = (vocabulary.bos, vocabulary.eos, vocabulary.addsBOS)
    }

    /// The bytes that token `id` stands for; none when it is out of range. They need not be whole UTF-8 characters.
    public func bytes(of id: Int32) -> [UInt8] { Array(texts[id]) }

    /// Whether `id` is a control token: it steers the model and is no part of an answer's text.
    public func isSpecial(_ id: Int32) -> Bool { control.indices.contains(Int(id)) && control[Int(id)] }

    /// The id of the control or user-defined token written exactly `text`.
    public func special(_ text: String) -> Int32? { specials.find(text) }

    /// The text of `ids`. Bytes that are not UTF-8 become U+FFFD; ids out of range are passed over.
    /// - Parameter skippingSpecials: leaves control tokens out.
    public func decode(_ ids: [Int32], skippingSpecials: Bool) -> String {
        var bytes: [UInt8] = []
        for id in ids where !(skippingSpecials && isSpecial(id)) { bytes += texts[id] }
        return String(decoding: bytes, as: UTF8.self)
    }
}
