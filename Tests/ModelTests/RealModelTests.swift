// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing

@testable import Model

/// The default model on this machine: BATON_TEST_MODEL, or the file in the cache.
private let realModel: String? = {
    if let path = getenv("BATON_TEST_MODEL") { return String(cString: path) }
    return try? ModelStore.standard().resolve("smollm2-135m-instruct")
}()

@Suite("SmolLM2-135M-Instruct", .enabled(if: realModel != nil, "needs the model: run `baton model pull smollm2-135m-instruct`"))
struct RealModelTests {
    private func open() throws -> ModelFile { try ModelFile(path: #require(realModel)) }

    @Test("it has the published hyperparameters")
    func hyperparameters() throws {
        let h = try open().hyperparameters
        #expect([h.layers, h.hidden, h.feedForward, h.heads, h.kvHeads, h.headDim] == [30, 576, 1_536, 9, 3, 64])
        #expect([h.vocabulary, h.contextLength, h.ropeDimensions] == [49_152, 8_192, 64])
        #expect(h.ropeBase == 100_000 && h.rmsEpsilon == 1e-5 && h.tiedEmbeddings)
    }

    @Test("its program reads all of its 272 tensors")
    func program() throws {
        let model = try open()
        #expect(model.file?.tensors.count == 272)
        #expect(model.whole.tensors.filter(\.isWeight).count == 272)
        #expect(model.whole.operations.count == 30 * 15 + 4)
        #expect(model.whole.parameterCount == 134_515_008)
        #expect(model.whole.weightBytes() == model.file?.tensors.reduce(0) { $0 + $1.byteCount })
        #expect(model.whole.kvBytesPerToken(bytesPerElement: 2) == 23_040)
    }

    @Test("its vocabulary, merges and token types decode")
    func tokenizer() throws {
        let file = try #require(try open().file)
        let tokens = try file.strings("tokenizer.ggml.tokens"), merges = try file.strings("tokenizer.ggml.merges")
        #expect(tokens.count == 49_152 && tokens[0] == "<|endoftext|>" && tokens[1] == "<|im_start|>")
        #expect(merges.count == 48_900 && merges[2] == "i n")
        #expect(try file.int32s("tokenizer.ggml.token_type").count == 49_152)
        #expect(try file.uint("tokenizer.ggml.eos_token_id") == 2)
    }

    @Test("its norm weights are finite and near one")
    func weights() throws {
        let file = try #require(try open().file), norm = try #require(file.tensor("output_norm.weight"))
        file.withBytes(of: norm) { bytes in
            let values = bytes.bindMemory(to: Float.self)
            #expect(values.count == 576 && values.allSatisfy { $0.isFinite && abs($0) < 100 })
        }
    }

    @Test("its summary says what it is")
    func summary() throws {
        let summary = try ModelSummary(open())
        #expect(summary.types.map(\.type) == ["Q4_1", "Q8_0", "F32"])
        #expect(summary.types.map(\.tensors) == [210, 1, 61])
        #expect(summary.license == "apache-2.0" && summary.fileBytes == 98_362_432)
        #expect(summary.tokenizer == .init(model: "gpt2", preTokenizer: "smollm", tokens: 49_152, merges: 48_900, hasChatTemplate: true))
    }

    @Test("it is the file that a pull would fetch")
    func checksum() throws {
        try Checksum.require(KnownModel.all[0].sha256, of: #require(realModel))
    }
}
