import CDriver

/// A program in the making: tensors with the values of its weights, and operations. Lends itself in the contract's arrays.
struct Stage {
    struct Tensor {
        var name: String
        var role: baton_tensor_role
        var dtype: UInt32 = 1
        /// Rows and columns, or columns alone; a row count of -1 is T and -2 is R.
        var dims: [Int64]
        /// What a weight's bytes stand for.
        var values: [Float] = []
        var bytes: [UInt8] = []
        /// Where the bytes lie in the buffer of weights.
        var offset: UInt64 = 0
        var columns: Int { Int(dims.last ?? 0) }
    }

    static let tokens: Int64 = -1
    static let rows: Int64 = -2

    var tensors: [Tensor] = []
    var ops: [baton_op] = []
    var layers = 0
    var kvHeads = 0
    var headDim = 0
    var maxTokens = 64
    var maxSequences = 4
    var maxContext = 128
    private(set) var weightBytes: UInt64 = 0

    var inputs: [Int] { tensors.indices.filter { tensors[$0].role == 3 } }
    var outputs: [Int] { tensors.indices.filter { tensors[$0].role == 4 } }
    var hasAttention: Bool { ops.contains { $0.kind == UInt32(BATON_OP_ATTENTION) } }

    mutating func weight(_ name: String, _ dims: [Int], _ values: [Float], _ dtype: UInt32 = 1) -> Int {
        let (bytes, exact) = Encoding.encode(values, dtype)
        tensors.append(
            Tensor(name: name, role: 1, dtype: dtype, dims: dims.map(Int64.init), values: exact, bytes: bytes, offset: weightBytes))
        weightBytes += UInt64((bytes.count + 63) / 64 * 64)
        return tensors.count - 1
    }

    mutating func input(_ rows: Int64, _ columns: Int) -> Int {
        tensors.append(Tensor(name: "in\(tensors.count)", role: 3, dims: [rows, Int64(columns)]))
        return tensors.count - 1
    }

    /// Appends an operation and the tensor it makes; gives that tensor.
    @discardableResult
    mutating func make(
        _ kind: Operation, _ inputs: [Int], _ rows: Int64, _ columns: Int, output: Bool = false, layer: Int32 = -1,
        _ change: (inout baton_op) -> Void = { _ in }
    ) -> Int {
        tensors.append(Tensor(name: "\(kind)\(tensors.count)", role: output ? 4 : 2, dims: [rows, Int64(columns)]))
        var op = baton_op.sized()
        op.kind = kind.rawValue
        op.layer = layer
        op.input_count = UInt32(inputs.count)
        withUnsafeMutableBytes(of: &op.inputs) { $0.copyBytes(from: inputs.map(UInt32.init).withUnsafeBytes { Array($0) }) }
        op.output = UInt32(tensors.count - 1)
        change(&op)
        ops.append(op)
        return tensors.count - 1
    }

    /// The contract's operations by name.
    enum Operation: UInt32, CaseIterable {
        case embed = 1, rmsNorm, linear, rope, attention, swiglu, add, mul, scale, softcap, selectRows
    }

    /// Lends the program; `weights` is the buffer its weights lie in. `padding` bytes follow each element of the arrays, as in a later contract.
    func lend<R>(weights: OpaquePointer?, padding: Int = 0, _ body: (UnsafeMutablePointer<baton_program_desc>) throws -> R) rethrows -> R {
        let names = tensors.flatMap { Array($0.name.utf8) }
        return try names.withUnsafeBytes { text in
            var start = 0
            let raw = tensors.map { tensor -> baton_tensor in
                defer { start += tensor.name.utf8.count }
                var raw = baton_tensor.sized()
                raw.role = tensor.role
                raw.name = baton_string(data: text.baseAddress.map { ($0 + start).assumingMemoryBound(to: CChar.self) }, length: UInt64(tensor.name.utf8.count))
                raw.dtype = tensor.dtype
                raw.rank = UInt32(tensor.dims.count)
                withUnsafeMutableBytes(of: &raw.dims) { $0.copyBytes(from: tensor.dims.withUnsafeBytes { Array($0) }) }
                if tensor.role == 1 { raw.buffer = weights; raw.offset = tensor.offset }
                return raw
            }
            return try Spread(raw, padding).lend { tensors in
                try Spread(ops, padding).lend { ops in
                    var desc = header
                    desc.tensor_count = UInt32(raw.count)
                    desc.tensors = tensors
                    desc.op_count = UInt32(self.ops.count)
                    desc.ops = ops
                    return try body(&desc)
                }
            }
        }
    }

    private var header: baton_program_desc {
        var desc = baton_program_desc.sized()
        desc.layer_count = UInt32(layers)
        desc.kv_heads = UInt32(kvHeads)
        desc.head_dim = UInt32(headDim)
        desc.max_tokens = UInt32(maxTokens)
        desc.max_sequences = UInt32(maxSequences)
        desc.max_context = UInt32(maxContext)
        return desc
    }
}

/// An array of structs with room after each, whose `size` says so; the room holds 0xEE.
struct Spread<T: Sized> {
    private var bytes: [UInt64]
    private let count: Int

    init(_ elements: [T], _ padding: Int) {
        let stride = MemoryLayout<T>.size + padding
        bytes = [UInt64](repeating: 0xEEEE_EEEE_EEEE_EEEE, count: stride * elements.count / 8 + 1)
        count = elements.count
        bytes.withUnsafeMutableBytes { raw in
            for (index, element) in elements.enumerated() {
                var element = element
                element.size = UInt32(stride)
                let place = UnsafeMutableRawBufferPointer(rebasing: raw[index * stride..<index * stride + MemoryLayout<T>.size])
                withUnsafeBytes(of: element) { place.copyMemory(from: $0) }
            }
        }
    }

    func lend<R>(_ body: (UnsafePointer<T>?) throws -> R) rethrows -> R {
        guard count > 0 else { return try body(nil) }
        return try bytes.withUnsafeBytes { try body($0.baseAddress?.assumingMemoryBound(to: T.self)) }
    }
}
