public import CDriver

/// The contract's forms of proven values, for a driver that hands its work on to a peer's tables.
extension ProgramDescription {
    /// Where a weight lies on the peer.
    public struct Place {
        public var buffer: OpaquePointer
        public var offset: UInt64
        public init(buffer: OpaquePointer, offset: UInt64 = 0) {
            self.buffer = buffer
            self.offset = offset
        }
    }

    /// Lends the description with weights at `places`, by index of tensor; one that has no place has no buffer. `dtypes` replaces the dtype of
    /// weights that the peer holds as something else. The pointer is good until `body` returns; nothing is reported as progress.
    public func withContract<R>(places: [Int: Place], dtypes: [Int: DType] = [:], _ body: (UnsafePointer<baton_program_desc>) -> R) -> R {
        let rawTensors = tensors.indices.map { contract(tensor: $0, places[$0], dtypes[$0]) }
        let rawOperations = operations.map(\.contract)
        return rawTensors.withUnsafeBufferPointer { tensors in
            rawOperations.withUnsafeBufferPointer { operations in
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
                return body(&desc)
            }
        }
    }

    private func contract(tensor index: Int, _ place: Place?, _ dtype: DType?) -> baton_tensor {
        let tensor = tensors[index]
        var raw = baton_tensor.sized()
        raw.role = tensor.role.rawValue
        raw.name = Interned.text(tensor.name)
        raw.dtype = (tensor.role == .weight ? dtype ?? tensor.dtype : tensor.dtype).raw
        raw.rank = UInt32(tensor.shape.count)
        raw.dims.0 = tensor.shape[0].contract
        if tensor.shape.count > 1 { raw.dims.1 = tensor.shape[1].contract }
        raw.buffer = place?.buffer
        raw.offset = place?.offset ?? 0
        return raw
    }
}

extension ProgramDescription.Dimension {
    var contract: Int64 {
        switch self {
        case .fixed(let count): Int64(count)
        case .tokens: -1
        case .rows: -2
        }
    }
}

extension ProgramDescription.Operation {
    var contract: baton_op {
        var raw = baton_op.sized()
        raw.kind = kind.rawValue
        raw.layer = Int32(layer)
        raw.input_count = UInt32(inputs.count)
        withUnsafeMutableBytes(of: &raw.inputs) { bytes in
            for (index, input) in inputs.prefix(4).enumerated() { bytes.storeBytes(of: UInt32(input), toByteOffset: index * 4, as: UInt32.self) }
        }
        raw.output = UInt32(output)
        raw.heads = UInt32(heads)
        raw.kv_heads = UInt32(kvHeads)
        raw.head_dim = UInt32(headDim)
        raw.rope_dims = UInt32(ropeDims)
        raw.rope_style = ropeStyle?.rawValue ?? 0
        raw.rope_base = ropeBase
        raw.rope_scale = ropeScale
        raw.epsilon = epsilon
        raw.scale = scale
        raw.cap = cap
        raw.window = UInt32(window)
        return raw
    }
}

extension Batch {
    /// Lends the batch for a peer, with the peer's pool and the peer's buffers for the bound tensors, by index of tensor.
    /// The pointer is good until `body` returns.
    public func withContract<R>(
        pool: OpaquePointer?, places: [Int: ProgramDescription.Place], _ body: (UnsafePointer<baton_batch>) -> R
    ) -> R {
        let rawBindings = bindings.compactMap { binding -> baton_binding? in
            guard let place = places[binding.tensor] else { return nil }
            return baton_binding(
                size: UInt32(MemoryLayout<baton_binding>.size), tensor: UInt32(binding.tensor), buffer: place.buffer, offset: place.offset)
        }
        var batch = baton_batch.sized()
        batch.token_count = UInt32(tokenCount)
        batch.sequence_count = UInt32(sequenceCount)
        batch.row_count = UInt32(rows.count)
        batch.block_table_stride = UInt32(blockTableStride)
        batch.binding_count = UInt32(rawBindings.count)
        batch.pool = pool
        batch.tag = tag
        return tokens.withUnsafeBufferPointer { tokens in
            positions.withUnsafeBufferPointer { positions in
                batch.tokens = tokens.isEmpty ? nil : tokens.baseAddress
                batch.positions = positions.baseAddress
                return sequences.withUnsafeBufferPointer { sequences in
                    rows.withUnsafeBufferPointer { rows in
                        batch.sequences = sequences.baseAddress
                        batch.rows = rows.baseAddress
                        return blockTables.withUnsafeBufferPointer { tables in
                            rawBindings.withUnsafeBufferPointer { bindings in
                                batch.block_tables = tables.baseAddress
                                batch.bindings = bindings.baseAddress
                                return body(&batch)
                            }
                        }
                    }
                }
            }
        }
    }
}

extension KVPoolDescription {
    /// The contract's form.
    public var contract: baton_kv_pool_desc {
        baton_kv_pool_desc(
            size: UInt32(MemoryLayout<baton_kv_pool_desc>.size), dtype: dtype.raw, block_count: UInt32(clamping: blockCount),
            block_tokens: UInt32(clamping: blockTokens), first_layer: UInt32(clamping: firstLayer), layers: UInt32(clamping: layers),
            kv_heads: UInt32(clamping: kvHeads), head_dim: UInt32(clamping: headDim), rope_style: ropeStyle.rawValue, reserved: 0)
    }
}

extension KVRange {
    /// Lends the contract's form until `body` returns.
    public func withContract<R>(_ body: (UnsafePointer<baton_kv_range>) -> R) -> R {
        blocks.withUnsafeBufferPointer { blocks in
            var raw = baton_kv_range.sized()
            raw.first_layer = UInt32(clamping: firstLayer)
            raw.layer_count = UInt32(clamping: layerCount)
            raw.block_count = UInt32(clamping: blocks.count)
            raw.blocks = blocks.baseAddress
            raw.token_count = UInt32(clamping: tokenCount)
            return body(&raw)
        }
    }
}

extension Peer {
    /// Makes one call on a peer's table and throws its failure in its own words. A missing slot is UNIMPLEMENTED.
    public func call<F>(_ slot: F?, _ what: String, _ body: (F, UnsafeMutablePointer<baton_status>) -> baton_code) throws(DriverFailure) {
        guard let slot else { throw DriverFailure(.unimplemented, "the driver beneath does not \(what)") }
        var status = baton_status()
        status.size = UInt32(MemoryLayout<baton_status>.size)
        let code = body(slot, &status)
        guard code == 0 else { throw DriverFailure(code, &status) }
    }

    /// The peer's table of an interface, or nil.
    public func interface(_ id: String, version: UInt32) -> UnsafeRawPointer? {
        guard let find = driver.pointee.get_interface else { return nil }
        return id.withContractString { find($0, version) }
    }
}
