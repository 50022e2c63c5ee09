import CDriver

extension ProgramDescription {
    static let tensorLimit = 1 << 20
    static let layerLimit = 1 << 16

    /// Copies and proves the description. INVALID_ARGUMENT names the tensor or operation and the rule it breaks.
    init(_ raw: UnsafePointer<baton_program_desc>?, needsWeights: Bool) throws(DriverFailure) {
        let desc = try baton_program_desc.read(raw, "the program description")
        guard let tensors = try StridedElements(desc.tensors, count: desc.tensor_count, limit: Self.tensorLimit, "tensors") else {
            throw .invalid("a program of no tensors; describe at least one operation and its tensors")
        }
        guard let operations = try StridedElements(desc.ops, count: desc.op_count, limit: Self.tensorLimit, "operations") else {
            throw .invalid("a program of no operations; describe at least one")
        }
        firstLayer = Int(desc.first_layer)
        layerCount = Int(desc.layer_count)
        kvHeads = Int(desc.kv_heads)
        headDim = Int(desc.head_dim)
        maxTokens = Int(desc.max_tokens)
        maxSequences = Int(desc.max_sequences)
        maxContext = Int(desc.max_context)
        guard layerCount <= Self.layerLimit else { throw .invalid("a program of \(layerCount) layers; at most \(Self.layerLimit) can be given") }
        progress = Progress(desc.progress, desc.progress_user)
        guard !needsWeights || (maxTokens > 0 && maxSequences > 0) else {
            throw .invalid("a program for batches of \(maxTokens) tokens and \(maxSequences) sequences; each must be at least 1")
        }
        self.tensors.reserveCapacity(tensors.count)
        for index in 0..<tensors.count { self.tensors.append(try tensor(index, tensors[index], needsWeights)) }
        self.operations.reserveCapacity(operations.count)
        for index in 0..<operations.count { self.operations.append(try Self.operation(index, operations[index])) }
        try ProgramRules.check(&self)
    }

    private func tensor(_ index: Int, _ raw: baton_tensor, _ needsWeights: Bool) throws(DriverFailure) -> Tensor {
        let name = String(raw.name, limit: 256)
        let what = name.isEmpty ? "tensor \(index)" : "tensor '\(name)'"
        guard let role = Role(rawValue: raw.role) else { throw .invalid("\(what) has the unknown role \(raw.role); use 1 to 4") }
        let dtype = try DType(raw.dtype, what)
        guard role == .weight || dtype == .f32 else { throw .invalid("\(what) is \(dtype) and no weight; only weights may be other than f32") }
        guard raw.rank == 1 || raw.rank == 2 else { throw .invalid("\(what) has rank \(raw.rank); use 1 or 2") }
        let dims = raw.rank == 1 ? [raw.dims.0] : [raw.dims.0, raw.dims.1]
        var tensor = Tensor(role: role, name: name.isEmpty ? "\(index)" : name, dtype: dtype, shape: [], buffer: nil, offset: 0)
        for (axis, dim) in dims.enumerated() { tensor.shape.append(try dimension(dim, axis, dims.count, role, what)) }
        guard tensor.columns % dtype.blockElements == 0 else {
            throw .invalid("\(what) is \(dtype) with rows of \(tensor.columns), which are not whole blocks of \(dtype.blockElements)")
        }
        if role == .weight { try place(&tensor, raw, needsWeights, what) }
        return tensor
    }

    private func dimension(_ dim: Int64, _ axis: Int, _ rank: Int, _ role: Role, _ what: String) throws(DriverFailure) -> Dimension {
        if dim == -1 || dim == -2 {
            guard role != .weight, axis == 0, rank == 2 else {
                throw .invalid("\(what) counts tokens or rows in dimension \(axis); only the first of two may, and not of a weight")
            }
            return dim == -1 ? .tokens : .rows
        }
        guard dim > 0, dim <= 1 << 31 else { throw .invalid("\(what) has the dimension \(dim); give a count from 1 to 2147483648") }
        return .fixed(Int(dim))
    }

    private func place(_ tensor: inout Tensor, _ raw: baton_tensor, _ needsWeights: Bool, _ what: String) throws(DriverFailure) {
        guard let bytes = tensor.dtype.bytes(tensor.elements()) else { throw .invalid("\(what) is larger than memory can be") }
        guard needsWeights else { return }
        guard raw.buffer != nil else { throw .invalid("\(what) is a weight without a buffer; give the buffer that holds it") }
        let buffer = try Find.buffer(raw.buffer)
        let (end, overflow) = raw.offset.addingReportingOverflow(UInt64(bytes))
        guard !overflow, end <= UInt64(buffer.length) else {
            throw .invalid("\(what) takes \(bytes) bytes from \(raw.offset) of a buffer of \(buffer.length); check its offset and shape")
        }
        tensor.buffer = buffer
        tensor.offset = Int(raw.offset)
    }

    private static func operation(_ index: Int, _ raw: baton_op) throws(DriverFailure) -> Operation {
        guard let kind = Kind(rawValue: raw.kind) else {
            throw DriverFailure(.unimplemented, "operation \(index) has the unknown kind \(raw.kind); this driver knows 1 to 11")
        }
        guard raw.input_count <= 4 else { throw .invalid("operation \(index) (\(kind)) states \(raw.input_count) inputs; at most 4 can be given") }
        let all = [raw.inputs.0, raw.inputs.1, raw.inputs.2, raw.inputs.3]
        var operation = Operation(kind: kind, layer: Int(raw.layer), inputs: all.prefix(Int(raw.input_count)).map(Int.init), output: Int(raw.output))
        operation.heads = Int(raw.heads)
        operation.kvHeads = Int(raw.kv_heads)
        operation.headDim = Int(raw.head_dim)
        operation.ropeDims = Int(raw.rope_dims)
        operation.ropeStyle = RopeStyle(rawValue: raw.rope_style)
        operation.ropeBase = raw.rope_base
        operation.ropeScale = raw.rope_scale
        operation.epsilon = raw.epsilon
        operation.scale = raw.scale
        operation.cap = raw.cap
        operation.window = Int(raw.window)
        return operation
    }
}
