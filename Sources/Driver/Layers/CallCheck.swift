import CDriver

/// Holds one call against the contract and what is known to be alive. A value; `broken` has the rules that were not kept.
struct CallCheck {
    private let call: Call
    private let live: LiveObjects
    private(set) var broken: [String] = []
    /// A handle is not there: the driver must not see the call.
    private(set) var isUnusable = false

    init(_ call: Call, _ live: LiveObjects) {
        self.call = call
        self.live = live
    }

    mutating func run() {
        switch call.arguments {
        case .info(let out): needs(out != nil, "there is a place for the answer (device.h)")
        case .quiesce: needs(!CallbackMark.isInside, "quiesce is called on any thread but a callback's (device.h)")
        case .allocate(let length, let out):
            needs(length > 0, "a buffer has at least 1 byte (buffer.h)")
            needs(out != nil, "there is a place for the buffer (buffer.h)")
        case .importMemory(let name, let access, let out):
            memory(name)
            needs((1...3).contains(access), "access is of BATON_ACCESS_READ and BATON_ACCESS_WRITE (buffer.h)")
            needs(out != nil, "there is a place for the buffer (buffer.h)")
        case .exportMemory(let buffer, let kind, let out):
            object(buffer, .buffer)
            needs((1...4).contains(kind), "memory is of a kind of BATON_MEMORY_* (buffer.h)")
            needs(out != nil, "there is a place for the memory's name (buffer.h)")
        case .releaseBuffer(let handle): release(handle, .buffer)
        case .releaseProgram(let handle): release(handle, .program)
        case .releaseTimeline(let handle): release(handle, .timeline)
        case .kvRelease(let handle): release(handle, .pool)
        case .write(let buffer, let offset, let source, let length):
            range(buffer, offset, length)
            needs(source != nil || length == 0, "write has a source (buffer.h)")
        case .read(let buffer, let offset, let out, let length):
            range(buffer, offset, length)
            needs(out != nil || length == 0, "read has a destination (buffer.h)")
        case .map(let buffer, let access, let out):
            object(buffer, .buffer)
            needs((1...3).contains(access) && out != nil, "map has an access and a place for the pointer (buffer.h)")
        case .unmap(let buffer):
            if let found = object(buffer, .buffer) { needs(found.isMapped, "what is unmapped was mapped (buffer.h)") }
        case .copy(let copy):
            range(copy.to, copy.toOffset, copy.length)
            if LayeredDevice.find(copy.fromDevice)?.number == call.device?.number { range(copy.from, copy.fromOffset, copy.length) }
            sync(copy.sync)
        default: runWork()
        }
    }

    private mutating func runWork() {
        switch call.arguments {
        case .compile(let desc, let out):
            needs(out != nil, "there is a place for the program (program.h)")
            program(desc)
        case .programInfo(let program, let out):
            object(program, .program)
            needs(out != nil, "there is a place for the answer (program.h)")
        case .submit(let program, let batch, let sync): submit(program, batch, sync)
        case .createTimeline(_, let out): needs(out != nil, "there is a place for the timeline (event.h)")
        case .query(let timeline, _, _): object(timeline, .timeline)
        case .wait(let timeline, _, _, _):
            object(timeline, .timeline)
            needs(!CallbackMark.isInside, "wait is called on any thread but a callback's (event.h)")
        case .signal(let timeline, let value):
            if let found = object(timeline, .timeline) { needs(value > found.promised || found.hasFailed, "a signal is above what was signalled or queued before, \(found.promised) (event.h)") }
        case .fail(let timeline, let reason):
            object(timeline, .timeline)
            needs(reason.map { $0.pointee.code != 0 } ?? false, "a failure has a reason that is not OK (event.h)")
        case .notify(let timeline, _, let callback, _):
            object(timeline, .timeline)
            needs(callback != nil, "there is a function to call back (event.h)")
        case .kvCreate(let desc, let out):
            pool(desc)
            needs(out != nil, "there is a place for the pool (kv.h)")
        case .kvAdopt(let desc, let name, let layout, let out):
            pool(desc)
            memory(name)
            needs(layout != nil && out != nil, "a layout and a place for the pool are given (kv.h)")
        case .kvShare(let pool, let kind, let out, let layout):
            object(pool, .pool)
            needs((1...4).contains(kind) && out != nil && layout != nil, "a kind of memory and places for name and layout are given (kv.h)")
        case .kvExport(let move), .kvImport(let move): transfer(move)
        case .kvCopyBlocks(let pool, let from, let to, let count, let sync):
            needs(count == 0 || (from != nil && to != nil), "both lists of blocks are given (kv.h)")
            if let found = object(pool, .pool) { for list in [from, to] { blocks(list, count, found) } }
            self.sync(sync)
        default: break
        }
    }

    // MARK: what many rules need

    private mutating func needs(_ holds: Bool, _ rule: @autoclosure () -> String) { if !holds { broken.append(rule()) } }

    @discardableResult
    private mutating func object(_ handle: OpaquePointer?, _ kind: LiveObjects.Kind) -> LiveObjects.Object? {
        guard let handle else {
            needs(false, "the \(kind.rawValue) is not null (baton.h)")
            return nil
        }
        if let found = live[handle, kind] { return found }
        isUnusable = true
        let other = live.kind(of: handle).map { "it is a \($0.rawValue)" } ?? "it was released, or is of another device"
        needs(false, "a \(kind.rawValue) is used while it lives, on the device that made it: \(Call.name(handle)) is none, \(other) (buffer.h, program.h, event.h, kv.h)")
        return nil
    }

    private mutating func release(_ handle: OpaquePointer?, _ kind: LiveObjects.Kind) {
        guard let handle else { return }
        guard let found = object(handle, kind), let use = found.lastUse, live[use.timeline, .timeline] != nil, let device = call.device else { return }
        var event = baton_event.sized()
        let code = device.driver.inner.timeline.query?(device.inner, use.timeline, use.value, &event, nil) ?? 0
        needs(code != 0 || event.value >= use.value, "no unfinished work uses what is released: value \(use.value) of timeline \(Call.name(use.timeline)) is not reached (program.h)")
    }

    private mutating func range(_ buffer: OpaquePointer?, _ offset: UInt64, _ length: UInt64) {
        guard let found = object(buffer, .buffer) else { return }
        let (end, overflow) = offset.addingReportingOverflow(length)
        needs(!overflow && end <= found.extent, "offset and length end inside the buffer, which has \(found.extent) bytes (buffer.h)")
    }

    private mutating func memory(_ memory: UnsafePointer<baton_memory>?) {
        guard let memory = memory?.pointee else { return needs(false, "memory is named (buffer.h)") }
        needs((1...4).contains(memory.kind), "memory is of a kind of BATON_MEMORY_* (buffer.h)")
        needs(memory.kind != BATON_MEMORY_HOST || memory.address != 0, "host memory has an address (buffer.h)")
        needs(memory.length > 0 && !memory.offset.addingReportingOverflow(memory.length).overflow, "a range of memory has bytes and an end (buffer.h)")
        needs(![BATON_MEMORY_MEMFD, BATON_MEMORY_DMABUF].map { Int32($0) }.contains(memory.kind) || memory.descriptor >= 0, "a descriptor is open (buffer.h)")
    }

    private mutating func sync(_ sync: UnsafePointer<baton_sync>?) {
        guard let sync = sync?.pointee else { return }
        needs(!live.isQuiesced, "nothing is submitted after quiesce (device.h)")
        needs(sync.wait_count == 0 || sync.waits != nil, "waits are given (event.h)")
        needs(sync.signal_count == 0 || sync.signals != nil, "signals are given (event.h)")
        for point in UnsafeBufferPointer(start: sync.waits, count: sync.waits == nil ? 0 : Int(sync.wait_count)) { object(point.timeline, .timeline) }
        for point in UnsafeBufferPointer(start: sync.signals, count: sync.signals == nil ? 0 : Int(sync.signal_count)) {
            guard let found = object(point.timeline, .timeline) else { continue }
            needs(point.value > found.promised || found.hasFailed, "a signal is above what was signalled or queued before, \(found.promised) (event.h)")
        }
        if let layers = sync.layer_timeline { object(layers, .timeline) }
    }

    private mutating func blocks(_ list: UnsafePointer<UInt32>?, _ count: UInt32, _ pool: LiveObjects.Object) {
        guard let list else { return }
        let bad = UnsafeBufferPointer(start: list, count: Int(count)).first { UInt64($0) >= pool.extent }
        needs(bad == nil, "a block is inside its pool, which has \(pool.extent): \(bad ?? 0) (kv.h)")
    }

    private mutating func pool(_ desc: UnsafePointer<baton_kv_pool_desc>?) {
        guard let desc = desc?.pointee else { return needs(false, "a pool is described (kv.h)") }
        needs(
            desc.block_count > 0 && desc.block_tokens > 0 && desc.layers > 0 && desc.kv_heads > 0 && desc.head_dim > 0,
            "a pool has blocks, tokens, layers, heads and dimensions (kv.h)")
    }

    private mutating func transfer(_ move: Call.KVMove) {
        needs(move.range != nil && move.layout != nil && move.memory != nil, "range, layout and memory are given (kv.h)")
        if move.memory != nil { memory(move.memory) }
        sync(move.sync)
        guard let found = object(move.pool, .pool), let range = move.range?.pointee else { return }
        needs(range.block_count == 0 || range.blocks != nil, "blocks are given (kv.h)")
        if range.blocks != nil { blocks(range.blocks, range.block_count, found) }
        needs(
            UInt64(range.token_count) <= UInt64(range.block_count) * UInt64(found.blockTokens),
            "no more tokens count than the blocks hold (kv.h)")
    }

    // MARK: programs

    private mutating func program(_ desc: UnsafePointer<baton_program_desc>?) {
        guard let desc else { return needs(false, "a program is described (program.h)") }
        let (tensors, ops) = (ContractArray.tensors(desc), ContractArray.ops(desc))
        needs(!ops.isEmpty && !tensors.isEmpty, "a program has operations and tensors (program.h)")
        needs(desc.pointee.max_tokens > 0 && desc.pointee.max_sequences > 0, "a program is compiled for at least one token and sequence (program.h)")
        for tensor in tensors {
            needs((1...2).contains(tensor.rank), "a tensor has rank 1 or 2: \(String(tensor.name)) has \(tensor.rank) (program.h)")
            guard tensor.role == BATON_TENSOR_WEIGHT else { continue }
            guard let found = object(tensor.buffer, .buffer) else { continue }
            needs(tensor.offset < found.extent, "a weight begins inside its buffer: \(String(tensor.name)) at \(tensor.offset) of \(found.extent) (program.h)")
        }
        var made = Set<UInt32>()
        for (number, op) in ops.enumerated() {
            needs((1...11).contains(op.kind), "an operation is of a kind of BATON_OP_*: operation \(number) has \(op.kind) (program.h)")
            let inputs = [op.inputs.0, op.inputs.1, op.inputs.2, op.inputs.3].prefix(Int(min(op.input_count, 4)))
            for index in inputs + [op.output] where index >= tensors.count { needs(false, "an operation names tensors that are there: operation \(number) names \(index) of \(tensors.count) (program.h)") }
            for index in inputs where Int(index) < tensors.count && tensors[Int(index)].role == BATON_TENSOR_ACTIVATION {
                needs(made.contains(index), "an operation comes after those that make its inputs: operation \(number) reads \(String(tensors[Int(index)].name)) (program.h)")
            }
            needs(made.insert(op.output).inserted, "each activation is made once: operation \(number) makes tensor \(op.output) again (program.h)")
        }
    }

    private mutating func submit(_ program: OpaquePointer?, _ batch: UnsafePointer<baton_batch>?, _ sync: UnsafePointer<baton_sync>?) {
        let compiled = object(program, .program)?.program
        self.sync(sync)
        guard let batch else { return needs(false, "a batch is given (program.h)") }
        let b = batch.pointee
        needs(b.token_count > 0, "a batch has at least 1 token (program.h)")
        needs(b.positions != nil && b.sequences != nil, "a batch has positions and sequences (program.h)")
        needs(b.row_count == 0 || b.rows != nil, "rows are given (program.h)")
        let counts = compiled.map { "\($0.maxTokens) tokens and \($0.maxSequences) sequences" } ?? ""
        if let compiled { needs(b.token_count <= compiled.maxTokens && b.sequence_count <= compiled.maxSequences, "a batch is no larger than its program was compiled for, \(counts) (program.h)") }
        if compiled?.hasAttention == true { needs(b.pool != nil, "a program with attention has a pool (program.h)") }
        let pool = b.pool.flatMap { object($0, .pool) }
        places(b, pool)
        let rows = UnsafeBufferPointer(start: b.rows, count: b.rows == nil ? 0 : Int(b.row_count))
        let bad = rows.first { $0 >= b.token_count }
        needs(bad == nil, "a row is a token of the batch: \(bad ?? 0) of \(b.token_count) (program.h)")
        bindings(batch, compiled)
    }

    /// Tokens of a sequence are together and in order, and lie in blocks of the pool.
    private mutating func places(_ batch: baton_batch, _ pool: LiveObjects.Object?) {
        guard let positions = batch.positions, let sequences = batch.sequences else { return }
        var ended = Set<UInt32>()
        for token in 0..<Int(batch.token_count) {
            let sequence = sequences[token]
            guard sequence < batch.sequence_count else {
                return needs(false, "a token's sequence is one of the batch: token \(token) is of \(sequence) of \(batch.sequence_count) (program.h)")
            }
            if token > 0 {
                let before = sequences[token - 1]
                if before == sequence, positions[token] <= positions[token - 1] { return needs(false, "positions of a sequence ascend: token \(token) is at \(positions[token]) (program.h)") }
                if before != sequence {
                    ended.insert(before)
                    if ended.contains(sequence) { return needs(false, "tokens of a sequence are together: sequence \(sequence) goes on at token \(token) (program.h)") }
                }
            }
            guard let pool, pool.blockTokens > 0, let tables = batch.block_tables else { continue }
            let column = positions[token] / pool.blockTokens
            guard column < batch.block_table_stride else { return needs(false, "a block table reaches the token's position: token \(token) at \(positions[token]) needs column \(column) of \(batch.block_table_stride) (program.h)") }
            let block = tables[Int(sequence) * Int(batch.block_table_stride) + Int(column)]
            guard UInt64(block) < pool.extent else { return needs(false, "a block is inside its pool: token \(token) lies in block \(block) of \(pool.extent) (program.h)") }
        }
    }

    private mutating func bindings(_ batch: UnsafePointer<baton_batch>, _ compiled: LiveObjects.ProgramFacts?) {
        for binding in ContractArray.bindings(batch) {
            guard let found = object(binding.buffer, .buffer) else { continue }
            guard let compiled else { continue }
            guard let port = compiled.ports[binding.tensor] else {
                needs(false, "only inputs and outputs are bound: tensor \(binding.tensor) is neither (program.h)")
                continue
            }
            let rows = UInt64(port.byRows ? batch.pointee.row_count : batch.pointee.token_count)
            let (bytes, overflow) = rows.multipliedReportingOverflow(by: UInt64(max(port.rowElements, 0)) * 4)
            let (end, wraps) = bytes.addingReportingOverflow(binding.offset)
            needs(!overflow && !wraps && end <= found.extent, "a bound buffer holds the tensor: \(port.name) needs \(bytes) bytes from \(binding.offset), the buffer has \(found.extent) (program.h)")
        }
    }

    static func buffers(of batch: UnsafePointer<baton_batch>?) -> [OpaquePointer?] { batch.map { ContractArray.bindings($0).map(\.buffer) } ?? [] }
}

extension LiveObjects.ProgramFacts {
    init(_ desc: UnsafePointer<baton_program_desc>) {
        maxTokens = desc.pointee.max_tokens
        maxSequences = desc.pointee.max_sequences
        maxContext = desc.pointee.max_context
        hasAttention = ContractArray.ops(desc).contains { $0.kind == 5 }
        ports = [:]
        for (index, tensor) in ContractArray.tensors(desc).enumerated() where tensor.role == BATON_TENSOR_INPUT || tensor.role == BATON_TENSOR_OUTPUT {
            ports[UInt32(index)] = Port(
                name: String(tensor.name), role: tensor.role, rowElements: tensor.rank == 2 ? tensor.dims.1 : tensor.dims.0, byRows: tensor.dims.0 == -2)
        }
    }
}

/// The contract's arrays of structs, whose elements are as far apart as the first one's size says.
enum ContractArray {
    static func elements<T>(_ first: UnsafePointer<T>?, _ count: UInt32, _ stride: UInt32?) -> [T] where T: ContractStruct {
        guard let first, let stride, Int(stride) >= MemoryLayout<T>.size, count <= 1 << 20 else { return [] }
        return (0..<Int(count)).map { (UnsafeRawPointer(first) + $0 * Int(stride)).loadUnaligned(as: T.self) }
    }
    static func tensors(_ desc: UnsafePointer<baton_program_desc>) -> [baton_tensor] { elements(desc.pointee.tensors, desc.pointee.tensor_count, desc.pointee.tensors?.pointee.size) }
    static func ops(_ desc: UnsafePointer<baton_program_desc>) -> [baton_op] { elements(desc.pointee.ops, desc.pointee.op_count, desc.pointee.ops?.pointee.size) }
    static func bindings(_ batch: UnsafePointer<baton_batch>) -> [baton_binding] {
        elements(batch.pointee.bindings, batch.pointee.binding_count, batch.pointee.bindings?.pointee.size)
    }
}
