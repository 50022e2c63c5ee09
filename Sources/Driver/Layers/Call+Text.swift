import CDriver

extension Call {
    /// What was passed, in short: for findings, traces and deadlines.
    var text: String {
        switch arguments {
        case .describe(let options, _), .open(let options, _), .kvLayouts(let options, _, _, _, _, _), .estimate(let options, _, _, _), .memory(let options, _, _, _, _):
            DriverOptions(options).pairs.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
        case .info, .health, .close: ""
        case .quiesce(let timeout): "timeout \(timeout) ns"
        case .allocate(let length, _): "\(length) bytes"
        case .importMemory(let memory, let access, _): "\(Self.memory(memory)), access \(access)"
        case .exportMemory(let buffer, let kind, _): "buffer \(Self.name(buffer)), kind \(kind)"
        case .releaseBuffer(let buffer), .unmap(let buffer): "buffer \(Self.name(buffer))"
        case .write(let buffer, let offset, _, let length), .read(let buffer, let offset, _, let length):
            "buffer \(Self.name(buffer)), \(length) bytes at \(offset)"
        case .map(let buffer, let access, _): "buffer \(Self.name(buffer)), access \(access)"
        case .copy(let copy): "\(copy.length) bytes, buffer \(Self.name(copy.from)) at \(copy.fromOffset) to \(Self.name(copy.to)) at \(copy.toOffset)"
        case .compile(let desc, _): desc.map { "\($0.pointee.op_count) operations, \($0.pointee.tensor_count) tensors, \($0.pointee.max_tokens) tokens" } ?? "null"
        case .programInfo(let program, _), .releaseProgram(let program): "program \(Self.name(program))"
        case .submit(let program, let batch, let sync): "program \(Self.name(program)), \(Self.batch(batch)), \(Self.sync(sync))"
        case .createTimeline(let value, _): "at \(value)"
        case .releaseTimeline(let timeline), .fail(let timeline, _): "timeline \(Self.name(timeline))"
        case .query(let timeline, let value, _), .signal(let timeline, let value), .notify(let timeline, let value, _, _): "timeline \(Self.name(timeline)), value \(value)"
        case .wait(let timeline, let value, let timeout, _):
            "timeline \(Self.name(timeline)), value \(value), \(timeout == .max ? "for ever" : "timeout \(timeout) ns")"
        case .kvCreate(let desc, _), .kvAdopt(let desc, _, _, _):
            desc.map { "\($0.pointee.block_count) blocks of \($0.pointee.block_tokens) tokens, \($0.pointee.layers) layers, \(DType(rawValue: $0.pointee.dtype))" } ?? "null"
        case .kvRelease(let pool), .kvShare(let pool, _, _, _): "pool \(Self.name(pool))"
        case .kvExport(let move), .kvImport(let move): "pool \(Self.name(move.pool)), \(Self.range(move.range)), \(Self.memory(move.memory)), \(Self.sync(move.sync))"
        case .kvCopyBlocks(let pool, _, _, let count, let sync): "pool \(Self.name(pool)), \(count) blocks, \(Self.sync(sync))"
        }
    }

    static func name(_ handle: OpaquePointer?) -> String { handle.map { "0x" + String(UInt(bitPattern: $0), radix: 16) } ?? "null" }

    private static func memory(_ memory: UnsafePointer<baton_memory>?) -> String {
        guard let memory = memory?.pointee else { return "memory null" }
        return "\(memory.length) bytes of \(["memory of kind \(memory.kind)", "host memory", "a memfd", "a dma-buf", "a link"][(1...4).contains(memory.kind) ? Int(memory.kind) : 0])"
    }

    private static func batch(_ batch: UnsafePointer<baton_batch>?) -> String {
        guard let batch = batch?.pointee else { return "batch null" }
        return "batch \(batch.tag) of \(batch.token_count) tokens, \(batch.sequence_count) sequences, \(batch.row_count) rows"
    }

    private static func sync(_ sync: UnsafePointer<baton_sync>?) -> String {
        guard let sync = sync?.pointee else { return "no sync" }
        return "queue \(sync.queue), \(sync.wait_count) waits, \(sync.signal_count) signals"
    }

    private static func range(_ range: UnsafePointer<baton_kv_range>?) -> String {
        guard let range = range?.pointee else { return "range null" }
        return "layers \(range.first_layer)..<\(UInt64(range.first_layer) + UInt64(range.layer_count)), \(range.block_count) blocks, \(range.token_count) tokens"
    }
}
