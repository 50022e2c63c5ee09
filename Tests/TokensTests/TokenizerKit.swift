// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Tokens

/// A small vocabulary: the letters, digits and signs below, what their merges make, and some special tokens.
struct TinyVocabulary {
    var letters = Array("abcdehlmorstvw123.'Ġ").map(String.init)
    var merges = ["h e", "l l", "he ll", "hell o", "Ġ hello", "Ġ w", "a a", "aa aa", "' s", "' ll", "Ġ Ġ"]
    var control = ["<|im_start|>", "<|im_end|>", "<|im_end|>!", "<x>"]
    var user = ["<user>"]
    var pre = "smollm"

    var normal: [String] { letters + merges.map { $0.filter { $0 != " " } } }
    var all: [String] { normal + control + user }

    func id(_ token: String) -> Int32 { Int32(all.firstIndex(of: token) ?? -1) }
    func ids(_ tokens: String...) -> [Int32] { tokens.map(id) }

    func vocabulary() throws -> Vocabulary {
        let types = normal.map { _ in Int32(1) } + control.map { _ in 3 } + user.map { _ in 4 }
        return try Vocabulary(
            tokens: all.map { Array($0.utf8) }, types: types, merges: merges.map { Array($0.utf8) }, pre: pre, model: "gpt2",
            bos: id("<|im_start|>"), eos: id("<x>"), addsBOS: false)
    }

    func tokenizer() throws -> Tokenizer { try Tokenizer(vocabulary()) }
}

/// The pieces `PreTokenizer` cuts `text` into.
func pieces(_ text: String, isolatingNumbers: Bool = true) -> [String] {
    var text = text, pieces: [String] = []
    let preTokenizer = PreTokenizer(isolatesNumbers: isolatingNumbers)
    text.withUTF8 { bytes in
        var start = 0
        while start < bytes.count {
            let end = preTokenizer.pieceEnd(from: start, in: bytes)
            pieces.append(String(decoding: bytes[start..<end], as: UTF8.self))
            start = end
        }
    }
    return pieces
}

/// The description of what `body` throws.
func refusal(_ body: () throws -> Void) -> String? {
    do {
        try body()
        return nil
    } catch {
        return String(describing: error)
    }
}
