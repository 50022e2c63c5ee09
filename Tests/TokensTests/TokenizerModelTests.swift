// SPDX-License-Identifier: Apache-2.0

import Foundation
import Model
import Testing

@testable import Tokens

/// The default model on this machine: BATON_TEST_MODEL, or the file in the cache.
private let realModel: String? = {
    if let path = ProcessInfo.processInfo.environment["BATON_TEST_MODEL"] { return path }
    return try? ModelStore.standard().resolve("smollm2-135m-instruct")
}()

@Suite("The tokenizer of SmolLM2", .enabled(if: realModel != nil, "needs the model: run `baton model pull smollm2-135m-instruct`"))
struct TokenizerModelTests {
    private struct Fixture: Decodable {
        struct Case: Decodable {
            var text: String
            var ids: [Int32]
        }
        var cases: [Case]
    }

    private func vocabulary() throws -> Vocabulary {
        let path = try #require(realModel), file = try #require(try ModelFile(path: path).file)
        return try Vocabulary(
            tokens: file.byteStrings("tokenizer.ggml.tokens"), types: file.int32s("tokenizer.ggml.token_type"),
            merges: file.byteStrings("tokenizer.ggml.merges"), pre: file.string("tokenizer.ggml.pre"),
            model: file.string("tokenizer.ggml.model"), bos: Int32(file.uint("tokenizer.ggml.bos_token_id")),
            eos: Int32(file.uint("tokenizer.ggml.eos_token_id")), addsBOS: false)
    }

    private func fixture() throws -> Fixture {
        let fixtures = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../Fixtures/tokenizer.json")
        return try JSONDecoder().decode(Fixture.self, from: Data(contentsOf: fixtures))
    }

    @Test("every text of the reference has the reference's ids")
    func reference() throws {
        let tokenizer = try Tokenizer(vocabulary()), cases = try fixture().cases
        #expect(cases.count > 100)
        for item in cases { #expect(tokenizer.encode(item.text) == item.ids, "\(item.text.debugDescription)") }
    }

    @Test("the ids of the reference decode and stream to one text")
    func decoding() throws {
        let tokenizer = try Tokenizer(vocabulary())
        for item in try fixture().cases {
            var stream = TokenStream(), text = ""
            for id in item.ids { text += stream.append(tokenizer.bytes(of: id)) }
            text += stream.finish()
            #expect(text.utf8.elementsEqual(tokenizer.decode(item.ids, skippingSpecials: false).utf8))
        }
    }

    @Test("its special tokens are known")
    func roles() throws {
        let tokenizer = try Tokenizer(vocabulary())
        #expect(tokenizer.count == 49_152 && tokenizer.eos == 2 && tokenizer.ends == [0, 2])
        #expect(tokenizer.special("<|im_start|>") == 1 && tokenizer.isSpecial(1) && !tokenizer.isSpecial(81))
    }
}
