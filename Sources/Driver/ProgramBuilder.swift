import CDriver

/// A program in the contract's terms, built tensor by tensor. A plain value: it holds no handles, so that cost can be asked without a device.
public struct ProgramBuilder: Sendable {
    public enum Role: Sendable { case weight, activation, input, output }
    public enum Dimension: Sendable, Hashable {
        case fixed(Int)
        /// T: the tokens of the batch.
        case tokens
        /// R: the rows wanted.
        case rows
    }
    public struct Tensor: Sendable {
        public var name: String
        public var role: Role
        public var dtype: DType
        /// One or two, slowest first.
        public var shape: [Dimension]
        /// For a weight: which of the buffers given to compile holds it, and where.
        public var buffer: Int?
        public var offset: UInt64

        public init(name: String, role: Role, dtype: DType = .f32, shape: [Dimension], buffer: Int? = nil, offset: UInt64 = 0) {
            self.name = name
            self.role = role
            self.dtype = dtype
            self.shape = shape
            self.buffer = buffer
            self.offset = offset
        }
    }
    /// One operation; fields as in `baton_op`.
    public struct Operation: Sendable {
        public enum Kind: UInt32, Sendable {
            case embed = 1, rmsNorm, linear, rope, attention, swiglu, add, mul, scale, softcap, selectRows
        }
        public var kind: Kind
        public var layer: Int?
        public var inputs: [Int]
        public var output: Int
        public var heads = 0
        public var kvHeads = 0
        public var headDim = 0
        public var ropeDims = 0
        public var ropeStyle = RopeStyle.interleaved
        public var ropeBase: Float = 0
        public var ropeScale: Float = 1
        public var epsilon: Float = 0
        public var scale: Float = 0
        public var cap: Float = 0
        public var window = 0

        public init(_ kind: Kind, layer: Int?, inputs: [Int], output: Int) {
            self.kind = kind
            self.layer = layer
            self.inputs = inputs
            self.output = output
        }
    }

    public var tensors: [Tensor] = []
    public var operations: [Operation] = []
    /// Layers of the model it holds.
    public var layers: Range<Int>
    public var kvHeads: Int
    public var headDim: Int
    public var maxTokens: Int
    public var maxSequences: Int
    public var maxContext: Int

    public init(layers: Range<Int>, kvHeads: Int, headDim: Int, maxTokens: Int, maxSequences: Int, maxContext: Int) {
        self.layers = layers
        self.kvHeads = kvHeads
        self.headDim = headDim
        self.maxTokens = maxTokens
        self.maxSequences = maxSequences
        self.maxContext = maxContext
    }

    /// Lends the program as the contract's arrays; `handles` are the weight buffers that `Tensor.buffer` counts in, or empty.
    func withContract<R>(handles: [OpaquePointer], _ body: (UnsafePointer<baton_program_desc>) -> R) -> R {
        let names = tensors.flatMap { Array($0.name.utf8) }
        return names.withUnsafeBytes { bytes in
            var offset = 0
            let rawTensors = tensors.map { tensor in
                defer { offset += tensor.name.utf8.count }
                let start = bytes.baseAddress.map { ($0 + offset).assumingMemoryBound(to: CChar.self) }
                return tensor.raw(name: baton_string(data: start, length: UInt64(tensor.name.utf8.count)), handles: handles)
            }
            let rawOperations = operations.map(\.raw)
            return rawTensors.withUnsafeBufferPointer { tensors in
                rawOperations.withUnsafeBufferPointer { operations in
                    var desc = header
                    desc.tensor_count = UInt32(tensors.count)
                    desc.tensors = tensors.baseAddress
                    desc.op_count = UInt32(operations.count)
                    desc.ops = operations.baseAddress
                    return body(&desc)
                }
            }
        }
    }

    private var header: baton_program_desc {
        var desc = baton_program_desc.sized()
        desc.first_layer = UInt32(layers.lowerBound)
        desc.layer_count = UInt32(layers.count)
        desc.kv_heads = UInt32(kvHeads)
        desc.head_dim = UInt32(headDim)
        desc.max_tokens = UInt32(maxTokens)
        desc.max_sequences = UInt32(maxSequences)
        desc.max_context = UInt32(maxContext)
        return desc
    }
}

/// Which pairs of a head's elements rope turns together.
public enum RopeStyle: Int32, Sendable, Hashable {
    case interleaved = 1, splitHalf = 2
}

extension ProgramBuilder.Tensor {
    func raw(name: baton_string, handles: [OpaquePointer]) -> baton_tensor {
        let roles: [ProgramBuilder.Role: Int32] = [.weight: 1, .activation: 2, .input: 3, .output: 4]
        var raw = baton_tensor.sized()
        raw.role = roles[role] ?? 0
        raw.name = name
        raw.dtype = dtype.rawValue
        raw.rank = UInt32(shape.count)
        raw.dims.0 = shape.first?.raw ?? 0
        raw.dims.1 = shape.count > 1 ? shape[1].raw : 0
        if let buffer, handles.indices.contains(buffer) {
            raw.buffer = handles[buffer]
            raw.offset = offset
        }
        return raw
    }
}

extension ProgramBuilder.Dimension {
    var raw: Int64 {
        switch self {
        case .fixed(let count): Int64(count)
        case .tokens: -1
        case .rows: -2
        }
    }
}

extension ProgramBuilder.Operation {
    var raw: baton_op {
        var raw = baton_op.sized()
        raw.kind = kind.rawValue
        raw.layer = layer.map(Int32.init) ?? -1
        raw.input_count = UInt32(min(inputs.count, 4))
        let padded = inputs.prefix(4).map(UInt32.init) + Array(repeating: 0, count: max(0, 4 - inputs.count))
        raw.inputs = (padded[0], padded[1], padded[2], padded[3])
        raw.output = UInt32(output)
        raw.heads = UInt32(heads)
        raw.kv_heads = UInt32(kvHeads)
        raw.head_dim = UInt32(headDim)
        raw.rope_dims = UInt32(ropeDims)
        raw.rope_style = ropeStyle.rawValue
        raw.rope_base = ropeBase
        raw.rope_scale = ropeScale
        raw.epsilon = epsilon
        raw.scale = scale
        raw.cap = cap
        raw.window = UInt32(window)
        return raw
    }
}
