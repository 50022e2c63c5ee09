// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Model

@Suite("Hyperparameters of the Llama family")
struct LlamaHyperparametersTests {
    @Test("they are read from metadata, with defaults where the format has them")
    func reading() throws {
        let h = try GGUFWriter.llama(layers: 2).opened().hyperparameters
        #expect([h.layers, h.hidden, h.feedForward, h.heads, h.kvHeads, h.headDim] == [2, 32, 64, 2, 1, 16])
        #expect([h.vocabulary, h.contextLength, h.ropeDimensions] == [4, 128, 16])
        #expect(h.ropeBase == 10_000 && h.ropeScale == 1 && h.rmsEpsilon == 1e-5 && h.tiedEmbeddings)
        #expect(h.kvBytesPerToken(bytesPerElement: 2) == 2 * 2 * 1 * 16 * 2)
        #expect(try !GGUFWriter.llama(tied: false).opened().hyperparameters.tiedEmbeddings)
    }

    @Test("linear rope scaling divides positions, other kinds are refused by name")
    func ropeScaling() throws {
        var writer = GGUFWriter.llama()
        writer.set("llama.rope.scaling.type", .string("linear"))
        writer.set("llama.rope.scaling.factor", .float32(4))
        #expect(try writer.opened().hyperparameters.ropeScale == 0.25)
        writer.set("llama.rope.scaling.type", .string("none"))
        #expect(try writer.opened().hyperparameters.ropeScale == 1)
        writer.set("llama.rope.scaling.type", .string("yarn"))
        expect("llama.rope.scaling.type", "yarn") { () throws(ModelError) in _ = try writer.opened() }
    }

    @Test("a value out of bounds is refused with its key")
    func bounds() {
        let cases: [(String, GGUFWriter.Value)] = [
            ("llama.block_count", .uint32(0)), ("llama.block_count", .uint32(.max)), ("llama.embedding_length", .uint64(.max)),
            ("llama.attention.head_count", .uint32(0)), ("llama.attention.head_count", .uint32(3)),
            ("llama.attention.head_count_kv", .uint32(3)), ("llama.attention.head_count_kv", .uint32(0)),
            ("llama.rope.dimension_count", .uint32(15)), ("llama.rope.dimension_count", .uint32(18)),
            ("llama.attention.layer_norm_rms_epsilon", .float32(.nan)), ("llama.attention.layer_norm_rms_epsilon", .float32(0)),
            ("llama.rope.freq_base", .float32(-1)), ("llama.rope.freq_base", .float32(.infinity)),
            ("llama.context_length", .uint64(1 << 40)), ("llama.vocab_size", .uint64(1 << 50)), ("llama.rope.scaling.factor", .float32(0)),
            ("llama.block_count", .string("1")), ("llama.attention.value_length", .uint32(8)),
        ]
        for (key, value) in cases {
            var writer = GGUFWriter.llama()
            writer.set(key, value)
            expect("tiny.gguf", key) { () throws(ModelError) in _ = try writer.opened() }
        }
    }

    @Test("variants that compute something else are refused, not run wrongly")
    func variants() {
        let cases: [(String, GGUFWriter.Value)] = [
            ("llama.expert_count", .uint32(8)), ("llama.attention.sliding_window", .uint32(4_096)), ("llama.logit_scale", .float32(0.5)),
            ("llama.attention.causal", .bool(0)),
        ]
        for (key, value) in cases {
            var writer = GGUFWriter.llama()
            writer.set(key, value)
            expect(key, "does not compute") { () throws(ModelError) in _ = try writer.opened() }
        }
    }

    @Test("another architecture is refused with its name and those that work")
    func architecture() {
        var writer = GGUFWriter.llama()
        writer.set("general.architecture", .string("mamba"))
        expect("tiny.gguf", "mamba", "llama") { () throws(ModelError) in _ = try writer.opened() }
    }
}
