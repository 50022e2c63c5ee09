import Driver

/// Programs of the Llama family in the contract's terms.
enum Programs {
    /// Operations of a whole model; weights are `buffer` 0 at rising offsets when `placed`.
    static func llama(_ m: Facts.Model, maxTokens: Int, maxContext: Int = 8192, placed: Bool = false) -> ProgramBuilder {
        var maker = Maker(
            program: ProgramBuilder(
                layers: 0..<m.layers, kvHeads: m.kv_heads, headDim: m.head_dim, maxTokens: maxTokens, maxSequences: 8, maxContext: maxContext),
            placed: placed)
        var x = maker.make(.embed, nil, [maker.weight("embed", m.vocab, m.hidden)], .tokens, m.hidden)
        for layer in 0..<m.layers { x = maker.layer(layer, m, x) }
        x = maker.make(.selectRows, nil, [x], .rows, m.hidden)
        x = maker.norm(nil, x, .rows, m.hidden)
        _ = maker.make(.linear, nil, [x, maker.weight("head", m.vocab, m.hidden)], .rows, m.vocab, .output)
        return maker.program
    }

    /// A model of two layers that a test computes in a moment.
    static let tiny = Facts.Model(
        layers: 2, hidden: 64, heads: 2, kv_heads: 1, head_dim: 32, ffn: 96, vocab: 50, linear_flops_per_token: 0, weights_fp16_bytes: 0)

    struct Maker {
        var program: ProgramBuilder
        let placed: Bool
        var offset = 0

        mutating func weight(_ name: String, _ shape: Int...) -> Int {
            program.tensors.append(
                .init(name: name, role: .weight, shape: shape.map { .fixed($0) }, buffer: placed ? 0 : nil, offset: placed ? UInt64(offset) : 0))
            offset = offset &+ shape.reduce(4, &*)
            return program.tensors.count - 1
        }

        mutating func make(
            _ kind: ProgramBuilder.Operation.Kind, _ layer: Int?, _ inputs: [Int], _ rows: ProgramBuilder.Dimension, _ width: Int,
            _ role: ProgramBuilder.Role = .activation, _ change: (inout ProgramBuilder.Operation) -> Void = { _ in }
        ) -> Int {
            program.tensors.append(.init(name: "\(kind)\(program.tensors.count)", role: role, shape: [rows, .fixed(width)]))
            var operation = ProgramBuilder.Operation(kind, layer: layer, inputs: inputs, output: program.tensors.count - 1)
            change(&operation)
            program.operations.append(operation)
            return operation.output
        }

        mutating func norm(_ layer: Int?, _ x: Int, _ rows: ProgramBuilder.Dimension, _ width: Int) -> Int {
            let weight = weight("norm", width)
            return make(.rmsNorm, layer, [x, weight], rows, width) { $0.epsilon = 1e-5 }
        }

        mutating func linear(_ layer: Int, _ x: Int, _ from: Int, _ to: Int) -> Int {
            let weight = weight("w\(layer).\(program.tensors.count)", to, from)
            return make(.linear, layer, [x, weight], .tokens, to)
        }

        mutating func rope(_ layer: Int, _ x: Int, _ heads: Int, _ dim: Int) -> Int {
            make(.rope, layer, [x], .tokens, heads * dim) {
                $0.heads = heads
                $0.headDim = dim
                $0.ropeDims = dim
                $0.ropeBase = 10_000
            }
        }

        mutating func layer(_ layer: Int, _ m: Facts.Model, _ x: Int) -> Int {
            let normed = norm(layer, x, .tokens, m.hidden)
            let q = rope(layer, linear(layer, normed, m.hidden, m.heads * m.head_dim), m.heads, m.head_dim)
            let k = rope(layer, linear(layer, normed, m.hidden, m.kv_heads * m.head_dim), m.kv_heads, m.head_dim)
            let v = linear(layer, normed, m.hidden, m.kv_heads * m.head_dim)
            let attended = make(.attention, layer, [q, k, v], .tokens, m.heads * m.head_dim) {
                $0.heads = m.heads
                $0.kvHeads = m.kv_heads
                $0.headDim = m.head_dim
                $0.scale = 0.125
            }
            let mixed = make(.add, layer, [x, linear(layer, attended, m.heads * m.head_dim, m.hidden)], .tokens, m.hidden)
            let inner = norm(layer, mixed, .tokens, m.hidden)
            let gate = linear(layer, inner, m.hidden, m.ffn)
            let up = linear(layer, inner, m.hidden, m.ffn)
            let down = linear(layer, make(.swiglu, layer, [gate, up], .tokens, m.ffn), m.ffn, m.hidden)
            return make(.add, layer, [mixed, down], .tokens, m.hidden)
        }
    }
}
