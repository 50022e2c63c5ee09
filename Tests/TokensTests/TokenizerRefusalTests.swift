// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Tokens

@Suite("Vocabularies that are refused")
struct TokenizerRefusalTests {
    private func vocabulary(
        tokens: [String] = ["a", "b", "ab"], types: [Int32] = [1, 1, 1], merges: [String] = ["a b"], pre: String = "gpt-2",
        model: String = "gpt2", eos: Int32? = nil
    ) throws -> Vocabulary {
        try Vocabulary(
            tokens: tokens.map { Array($0.utf8) }, types: types, merges: merges.map { Array($0.utf8) }, pre: pre, model: model,
            bos: nil, eos: eos, addsBOS: false)
    }

    @Test("a sound one is taken under each known name")
    func sound() throws {
        for pre in ["gpt-2", "default", "smollm"] {
            #expect(try Tokenizer(vocabulary(pre: pre)).encode("abba") == [2, 1, 0])
        }
    }

    @Test("another scheme is named in the error")
    func schemes() {
        #expect(refusal { _ = try vocabulary(model: "llama") }?.contains("\"llama\"") == true)
        #expect(refusal { _ = try vocabulary(pre: "qwen2") }?.contains("\"qwen2\"") == true)
        let hostile = refusal { _ = try vocabulary(pre: "x\n" + String(repeating: "y", count: 900)) }
        #expect(hostile.map { $0.count < 200 && !$0.contains("\n") } == true)
    }

    @Test("lists that disagree and ids out of range are refused")
    func lists() {
        #expect(refusal { _ = try vocabulary(types: [1]) }?.contains("3 tokens, 1 token types") == true)
        #expect(refusal { _ = try vocabulary(tokens: [], types: []) } != nil)
        #expect(refusal { _ = try vocabulary(types: [1, 1, 9]) }?.contains("token 2 has type 9") == true)
        #expect(refusal { _ = try vocabulary(eos: 3) }?.contains("eos token is 3") == true)
        #expect(refusal { _ = try vocabulary(eos: -1) } != nil)
    }

    @Test("a merge that is not two tokens is refused with its number", arguments: ["ab", "a c", "b a", "", " ", "a  b"])
    func merges(merge: String) {
        #expect(refusal { _ = try Tokenizer(vocabulary(merges: ["a b", merge])) }?.hasPrefix("merge 1 ") == true)
    }

    @Test("a special token without end is refused, an empty one is passed over")
    func specials() throws {
        let long = String(repeating: "<", count: 2_000)
        let words = refusal { _ = try Tokenizer(vocabulary(tokens: ["a", "b", "ab", long], types: [1, 1, 1, 3])) }
        #expect(words?.contains("2000 bytes") == true)
        #expect(try Tokenizer(vocabulary(tokens: ["a", "b", "ab", ""], types: [1, 1, 1, 3])).encode("ab") == [2])
    }
}
