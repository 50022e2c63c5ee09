// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Model

@Suite("Llama programs")
struct LlamaProgramTests {
    private typealias Kind = ProgramDescription.Kind

    @Test("a whole model goes from tokens to logits, and every operation comes after what it reads")
    func whole() throws {
        let program = try GGUFWriter.llama(layers: 2).opened().whole
        #expect(program.input == .tokens && program.outputKind == .logits)
        #expect(program.operations.first?.kind == .embed)
        #expect(program.operations.suffix(3).map(\.layer) == [nil, nil, nil])
        #expect(program.operations.suffix(3).first?.kind == .selectRows)
        #expect(program.tensors[program.output].role == .output)
        #expect(program.tensors[program.output].shape == [.rows, .fixed(4)])
        checkOrder(program)
    }

    @Test("one layer has the operations of a Llama block, in order")
    func block() throws {
        let program = try GGUFWriter.llama().opened().whole
        let rope = ProgramDescription.Rope(heads: 2, headDim: 16, dimensions: 16, base: 10_000, scale: 1, style: .interleaved)
        var keyRope = rope
        keyRope.heads = 1
        let norm = Kind.rmsNorm(epsilon: 1e-5), attention = Kind.attention(.init(heads: 2, kvHeads: 1, headDim: 16, scale: 0.25))
        let block: [Kind] = [norm, .linear, .linear, .linear, .rope(rope), .rope(keyRope), attention, .linear, .add]
        let feedForward: [Kind] = [norm, .linear, .linear, .swiglu, .linear, .add]
        #expect(program.operations.filter { $0.layer == 0 }.map(\.kind) == block + feedForward)
    }

    @Test("a tied output reads the embedding once more, an untied one its own weight")
    func tied() throws {
        let tied = try GGUFWriter.llama().opened().whole, untied = try GGUFWriter.llama(tied: false).opened().whole
        #expect(tied.tensors.filter { $0.name == "token_embd.weight" }.count == 1)
        #expect(tied.operations.last?.inputs.last == tied.operations.first?.inputs.first)
        #expect(untied.operations.last.map { untied.tensors[$0.inputs[1]].name } == "output.weight")
        #expect(untied.parameterCount == tied.parameterCount + 128)
    }

    @Test("parts split by layers hand hidden states on, and together hold what the whole holds")
    func split() throws {
        let model = try GGUFWriter.llama(layers: 3, tied: false).opened()
        let parts = try [0..<1, 1..<2, 2..<3].map { try model.program(layers: $0) }
        #expect(parts[0].input == .tokens && parts[0].outputKind == .hidden)
        #expect(parts[0].tensors[parts[0].output].shape == [.tokens, .fixed(32)])
        guard case .hidden(let input) = parts[1].input else {
            Issue.record("the second part does not take hidden states")
            return
        }
        #expect(parts[1].tensors[input].role == .input && parts[1].tensors[input].shape == [.tokens, .fixed(32)])
        #expect(parts[2].outputKind == .logits)
        #expect(parts[1].operations.allSatisfy { $0.layer == 1 })
        #expect(parts.reduce(0) { $0 + $1.parameterCount } == model.whole.parameterCount)
        #expect(parts.reduce(0) { $0 + $1.kvBytesPerToken(bytesPerElement: 2) } == model.whole.kvBytesPerToken(bytesPerElement: 2))
        parts.forEach(checkOrder)
    }

    @Test("a range of layers outside the model is refused", arguments: [0..<0, 0..<3, -1..<1])
    func range(_ layers: Range<Int>) throws {
        let model = try GGUFWriter.llama(layers: 2).opened()
        expect("layers", "0..<2") { () throws(ModelError) in _ = try model.program(layers: layers) }
    }

    @Test("a bias that is there is added")
    func bias() throws {
        var writer = GGUFWriter.llama()
        writer.add("blk.0.attn_q.bias", [32])
        let program = try writer.opened().whole
        let linear = program.operations.first { $0.kind == .linear }
        #expect(linear?.inputs.count == 3)
        #expect(linear.map { program.tensors[$0.inputs[2]].name } == "blk.0.attn_q.bias")
    }

    @Test("a missing, misshapen or unknown tensor is refused by name and shape")
    func tensors() {
        var writer = GGUFWriter.llama()
        writer.tensors.removeAll { $0.name == "blk.0.ffn_up.weight" }
        expect("tiny.gguf", "blk.0.ffn_up.weight", "[64, 32]") { () throws(ModelError) in _ = try writer.opened() }
        writer = GGUFWriter.llama()
        writer.set("llama.feed_forward_length", .uint32(32))
        expect("blk.0.ffn_gate.weight", "[64, 32]", "[32, 32]") { () throws(ModelError) in _ = try writer.opened() }
        writer = GGUFWriter.llama()
        writer.add("blk.0.attn_q_norm.weight", [16])
        expect("blk.0.attn_q_norm.weight", "does not use") { () throws(ModelError) in _ = try writer.opened() }
        writer = GGUFWriter.llama()
        writer.add("rope_freqs.weight", [8])
        expect("rope_freqs.weight", "frequency factors") { () throws(ModelError) in _ = try writer.opened() }
    }

    @Test("a tokenizer with more tokens than the embedding has rows is refused")
    func vocabulary() {
        var writer = GGUFWriter.llama()
        writer.set("tokenizer.ggml.tokens", .strings(["a", "b", "c", "d", "e"]))
        expect("5 tokens", "4 rows") { () throws(ModelError) in _ = try writer.opened() }
    }

    private func checkOrder(_ program: ProgramDescription) {
        var made = Set(program.tensors.indices.filter { program.tensors[$0].isWeight || program.tensors[$0].role == .input })
        for operation in program.operations {
            #expect(operation.inputs.allSatisfy { made.contains($0) })
            #expect(made.insert(operation.output).inserted)
        }
        #expect(made.count == program.tensors.count)
    }
}
