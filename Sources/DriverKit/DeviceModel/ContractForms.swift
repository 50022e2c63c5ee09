import CDriver

extension KVPoolDescription {
    /// The contract's form.
    var contract: baton_kv_pool_desc {
        var raw = baton_kv_pool_desc.sized()
        raw.dtype = dtype.raw
        raw.block_count = UInt32(clamping: blockCount)
        raw.block_tokens = UInt32(clamping: blockTokens)
        raw.first_layer = UInt32(clamping: firstLayer)
        raw.layers = UInt32(clamping: layers)
        raw.kv_heads = UInt32(clamping: kvHeads)
        raw.head_dim = UInt32(clamping: headDim)
        raw.rope_style = ropeStyle.rawValue
        return raw
    }
}

extension ProgramDescription {
    /// Lends the program in the contract's form, with the peer's buffers.
    func withContract<R>(_ body: (UnsafePointer<baton_program_desc>) throws(DriverFailure) -> R) throws(DriverFailure) -> R {
        let rawTensors = tensors.map(Self.raw)
        let rawOperations = operations.map(Self.raw)
        return try rawTensors.withUnsafeBufferPointer { (tensors: UnsafeBufferPointer<baton_tensor>) throws(DriverFailure) in
            try rawOperations.withUnsafeBufferPointer { (operations: UnsafeBufferPointer<baton_op>) throws(DriverFailure) in
                var desc = baton_program_desc.sized()
                desc.tensor_count = UInt32(tensors.count)
                desc.tensors = tensors.baseAddress
                desc.op_count = UInt32(operations.count)
                desc.ops = operations.baseAddress
                desc.first_layer = UInt32(firstLayer)
                desc.layer_count = UInt32(layerCount)
                desc.kv_heads = UInt32(kvHeads)
                desc.head_dim = UInt32(headDim)
                desc.max_tokens = UInt32(maxTokens)
                desc.max_sequences = UInt32(maxSequences)
                desc.max_context = UInt32(maxContext)
                return try body(&desc)
            }
        }
    }

    private static func raw(_ tensor: Tensor) -> baton_tensor {
        var raw = baton_tensor.sized()
        raw.role = tensor.role.rawValue
        raw.name = Interned.text(tensor.name)
        raw.dtype = tensor.dtype.raw
        raw.rank = UInt32(tensor.shape.count)
        func dim(_ index: Int) -> Int64 {
            guard tensor.shape.indices.contains(index) else { return 0 }
            return switch tensor.shape[index] {
            case .fixed(let count): Int64(count)
            case .tokens: -1
            case .rows: -2
            }
        }
        raw.dims = (dim(0), dim(1), 0, 0)
        raw.buffer = (tensor.buffer as? PeerBuffer)?.handle
        raw.offset = UInt64(tensor.offset)
        return raw
    }

    private static func raw(_ operation: Operation) -> baton_op {
        var raw = baton_op.sized()
        raw.kind = operation.kind.rawValue
        raw.layer = Int32(operation.layer)
        raw.input_count = UInt32(operation.inputs.count)
        func input(_ index: Int) -> UInt32 { operation.inputs.indices.contains(index) ? UInt32(operation.inputs[index]) : 0 }
        raw.inputs = (input(0), input(1), input(2), input(3))
        raw.output = UInt32(operation.output)
        raw.heads = UInt32(operation.heads)
        raw.kv_heads = UInt32(operation.kvHeads)
        raw.head_dim = UInt32(operation.headDim)
        raw.rope_dims = UInt32(operation.ropeDims)
        raw.rope_style = operation.ropeStyle?.rawValue ?? 0
        raw.rope_base = operation.ropeBase
        raw.rope_scale = operation.ropeScale
        raw.epsilon = operation.epsilon
        raw.scale = operation.scale
        raw.cap = operation.cap
        raw.window = UInt32(operation.window)
        return raw
    }
}

extension Batch {
    /// Lends the batch in the contract's form, with the peer's buffers and pool.
    func withContract(_ body: (UnsafePointer<baton_batch>) throws(DriverFailure) -> Void) throws(DriverFailure) {
        let rawBindings = bindings.map { binding in
            var raw = baton_binding.sized()
            raw.tensor = UInt32(binding.tensor)
            raw.buffer = (binding.buffer as? PeerBuffer)?.handle
            raw.offset = UInt64(binding.offset)
            return raw
        }
        let failure = tokens.withUnsafeBufferPointer { tokens in
            positions.withUnsafeBufferPointer { positions in
                sequences.withUnsafeBufferPointer { sequences in
                    blockTables.withUnsafeBufferPointer { tables in
                        rows.withUnsafeBufferPointer { rows in
                            rawBindings.withUnsafeBufferPointer { bindings -> DriverFailure? in
                                var raw = baton_batch.sized()
                                raw.token_count = UInt32(positions.count)
                                raw.sequence_count = UInt32(sequenceCount)
                                raw.row_count = UInt32(rows.count)
                                raw.tokens = tokens.isEmpty ? nil : tokens.baseAddress
                                raw.positions = positions.baseAddress
                                raw.sequences = sequences.baseAddress
                                raw.block_tables = tables.baseAddress
                                raw.rows = rows.baseAddress
                                raw.block_table_stride = UInt32(blockTableStride)
                                raw.binding_count = UInt32(bindings.count)
                                raw.bindings = bindings.baseAddress
                                raw.pool = (pool as? PeerPool)?.handle
                                raw.tag = tag
                                do throws(DriverFailure) {
                                    try body(&raw)
                                    return nil
                                } catch { return error }
                            }
                        }
                    }
                }
            }
        }
        if let failure { throw failure }
    }
}
