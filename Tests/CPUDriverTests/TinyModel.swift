import Driver

/// A model of two layers in the contract's terms, computed in a moment: hidden 64, 4 heads of 16 over 2 KV heads.
enum TinyModel {
    static let layers = 2
    static let hidden = 64
    static let heads = 4
    static let kvHeads = 2
    static let headDim = 16
    static let feedForward = 96
    static let vocabulary = 50

    /// The whole model; weights lie in buffer 0 at rising offsets.
    static func program(matrices: DType = .f32, maxTokens: Int = 64, maxSequences: Int = 4, maxContext: Int = 128) -> ProgramBuilder {
        var maker = Maker(
            program: ProgramBuilder(
                layers: 0..<layers, kvHeads: kvHeads, headDim: headDim, maxTokens: maxTokens, maxSequences: maxSequences, maxContext: maxContext),
            matrices: matrices)
        var x = maker.make(.embed, nil, [maker.weight("embed", .f32, vocabulary, hidden)], .tokens, hidden)
        for layer in 0..<layers { x = maker.layer(layer, x) }
        x = maker.make(.selectRows, nil, [x], .rows, hidden)
        x = maker.norm(nil, x, .rows)
        _ = maker.make(.linear, nil, [x, maker.weight("head", matrices, vocabulary, hidden)], .rows, vocabulary, .output)
        return maker.program
    }

    /// Bytes of all weights of a program made here.
    static func weightBytes(_ program: ProgramBuilder) -> Int {
        program.tensors.filter { $0.role == .weight }.map { Int($0.offset) + bytes($0) }.max() ?? 0
    }

    /// Seeded values for every weight: small numbers in the tensor's own dtype.
    static func fill(_ program: ProgramBuilder, _ bytes: UnsafeMutableRawBufferPointer) {
        var random = Random(seed: 0x51ED_2701)
        for tensor in program.tensors where tensor.role == .weight {
            let start = Int(tensor.offset)
            if tensor.dtype == .q8_0 {
                for block in 0..<Self.bytes(tensor) / 34 {
                    let at = start + block * 34
                    bytes.storeBytes(of: UInt16(0x1400 + random.below(512)), toByteOffset: at, as: UInt16.self)
                    for index in 2..<34 { bytes[at + index] = UInt8(random.below(256)) }
                }
            } else {
                for index in 0..<Self.bytes(tensor) / 4 { bytes.storeBytes(of: random.small(), toByteOffset: start + index * 4, as: Float.self) }
            }
        }
    }

    private static func bytes(_ tensor: ProgramBuilder.Tensor) -> Int {
        tensor.dtype.bytes(tensor.shape.reduce(1) { count, dimension in
            guard case .fixed(let extent) = dimension else { return count }
            return count * extent
        })
    }

    struct Maker {
        var program: ProgramBuilder
        let matrices: DType
        var offset = 0

        mutating func weight(_ name: String, _ dtype: DType, _ shape: Int...) -> Int {
            program.tensors.append(.init(name: name, role: .weight, dtype: dtype, shape: shape.map { .fixed($0) }, buffer: 0, offset: UInt64(offset)))
            offset += (dtype.bytes(shape.reduce(1, *)) + 63) / 64 * 64
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

        mutating func norm(_ layer: Int?, _ x: Int, _ rows: ProgramBuilder.Dimension) -> Int {
            make(.rmsNorm, layer, [x, weight("norm", .f32, hidden)], rows, hidden) { $0.epsilon = 1e-5 }
        }

        mutating func linear(_ layer: Int, _ x: Int, _ from: Int, _ to: Int) -> Int {
            make(.linear, layer, [x, weight("w\(layer).\(program.tensors.count)", matrices, to, from)], .tokens, to)
        }

        mutating func rope(_ layer: Int, _ x: Int, _ heads: Int) -> Int {
            make(.rope, layer, [x], .tokens, heads * headDim) {
                $0.heads = heads
                $0.headDim = headDim
                $0.ropeDims = headDim
                $0.ropeBase = 10_000
            }
        }

        mutating func layer(_ layer: Int, _ x: Int) -> Int {
            let normed = norm(layer, x, .tokens)
            let q = rope(layer, linear(layer, normed, hidden, heads * headDim), heads)
            let k = rope(layer, linear(layer, normed, hidden, kvHeads * headDim), kvHeads)
            let v = linear(layer, normed, hidden, kvHeads * headDim)
            let attended = make(.attention, layer, [q, k, v], .tokens, heads * headDim) {
                $0.heads = heads
                $0.kvHeads = kvHeads
                $0.headDim = headDim
                $0.scale = 0.25
            }
            let mixed = make(.add, layer, [x, linear(layer, attended, heads * headDim, hidden)], .tokens, hidden)
            let inner = norm(layer, mixed, .tokens)
            let gate = linear(layer, inner, hidden, feedForward)
            let up = linear(layer, inner, hidden, feedForward)
            let down = linear(layer, make(.swiglu, layer, [gate, up], .tokens, feedForward), feedForward, hidden)
            return make(.add, layer, [mixed, down], .tokens, hidden)
        }
    }
}

/// Numbers from a seed, the same on every machine.
struct Random {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state >> 33
    }

    mutating func below(_ count: Int) -> Int { Int(next() % UInt64(count)) }
    /// In -0.25 ..< 0.25.
    mutating func small() -> Float { Float(next() & 0xFF_FFFF) / Float(1 << 24) / 2 - 0.25 }
    mutating func tokens(_ count: Int) -> [UInt32] { (0..<count).map { _ in UInt32(below(TinyModel.vocabulary)) } }
}
