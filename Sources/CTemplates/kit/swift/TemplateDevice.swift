/// Steps 2 to 6: an open device. Two queues, one for batches and one for copies of KV, so that a handoff runs beside prefill.
final class TemplateDevice: DeviceImplementation {
    let info: DeviceDescription
    private let host: Host
    private let budget: MemoryBudget
    private let queues: [SubmissionQueue]

    init(_ info: DeviceDescription, host: Host) {
        self.info = info
        self.host = host
        budget = MemoryBudget(limit: Int(clamping: info.memoryBytes))
        queues = (0..<info.queueCount).map { _ in SubmissionQueue(depth: Int(info.queueDepth)) }
    }

    func quiesce(timeout: UInt64) throws(DriverFailure) { try SubmissionQueue.quiesce(queues, timeout: timeout) }

    private func queue(_ sync: Sync) throws(DriverFailure) -> SubmissionQueue {
        guard queues.indices.contains(sync.queue) else { throw DriverFailure(.invalidArgument, "queue \(sync.queue) of \(queues.count)") }
        return queues[sync.queue]
    }

    // Memory.

    func allocate(_ bytes: Int) throws(DriverFailure) -> any BufferImplementation { HostBuffer(bytes, try budget.hold(bytes, for: "a buffer")) }
    func importMemory(_ memory: Memory, access: Access) throws(DriverFailure) -> any BufferImplementation { try HostBuffer(memory, access) }

    func copy(
        from source: any BufferImplementation, _ sourceOffset: Int, to target: any BufferImplementation, _ targetOffset: Int, length: Int, _ sync: Sync
    ) throws(DriverFailure) {
        guard let source = source as? HostBuffer, let target = target as? HostBuffer else { throw DriverFailure(.invalidArgument, "a buffer of another driver") }
        try queue(sync).submit(sync) { () throws(DriverFailure) in
            let start = Clock.now()
            try target.write(targetOffset, UnsafeRawBufferPointer(start: source.base + sourceOffset, count: length))
            return .wall(since: start)
        }
    }

    // Programs.

    func compile(_ program: ProgramDescription) throws(DriverFailure) -> any ProgramImplementation {
        for tensor in program.tensors where tensor.role == .weight && tensor.buffer as? HostBuffer == nil {
            throw DriverFailure(.invalidArgument, "weight '\(tensor.name)' lies in no buffer of this driver")
        }
        return Program(program)
    }

    func submit(_ program: any ProgramImplementation, _ batch: Batch, _ sync: Sync) throws(DriverFailure) {
        guard let program = program as? Program else { throw DriverFailure(.invalidArgument, "a program of another driver") }
        let queue = try queue(sync)
        let run = try Execution(program, batch, host)
        try queue.submit(sync) { [unowned queue] () throws(DriverFailure) in
            let start = Clock.now()
            try run.perform(layerDone: { sync.signalLayer($0, .wall(since: start)) }, isCancelled: { queue.isCancelled })
            return .wall(since: start)
        }
    }

    // KV.

    func createPool(_ pool: KVPoolDescription) throws(DriverFailure) -> any PoolImplementation { Pool(pool, try budget.hold(pool.byteCount, for: "a KV pool")) }

    func sharePool(_ pool: any PoolImplementation, as kind: Memory.Kind) throws(DriverFailure) -> (memory: Memory, layout: KVLayout) {
        guard kind == .host, let pool = pool as? Pool else { throw DriverFailure(.unimplemented, "a pool is named as host memory only") }
        return (.host(pool.base, length: pool.description.byteCount), try KVLayout(for: pool.description, axes: Pool.axes))
    }

    func adoptPool(_ pool: KVPoolDescription, memory: Memory, layout: KVLayout) throws(DriverFailure) -> any PoolImplementation {
        let own = try KVLayout(for: pool, axes: Pool.axes)
        guard memory.kind == .host, layout == own, let base = UnsafeMutableRawPointer(bitPattern: UInt(memory.address)) else {
            throw DriverFailure(.unimplemented, "only host memory in this driver's own layout is adopted; export and import instead")
        }
        return Pool(pool, adopting: base + memory.offset)
    }

    func exportRange(_ pool: any PoolImplementation, _ range: KVRange, _ layout: KVLayout, to memory: Memory, _ sync: Sync) throws(DriverFailure) {
        try move(.export, pool, range, layout, memory, sync)
    }

    func importRange(_ pool: any PoolImplementation, _ range: KVRange, _ layout: KVLayout, from memory: Memory, _ sync: Sync) throws(DriverFailure) {
        try move(.import, pool, range, layout, memory, sync)
    }

    private func move(
        _ direction: KVTransfer.Direction, _ pool: any PoolImplementation, _ range: KVRange, _ layout: KVLayout, _ memory: Memory, _ sync: Sync
    ) throws(DriverFailure) {
        guard let pool = pool as? Pool else { throw DriverFailure(.invalidArgument, "a pool of another driver") }
        let reached = try HostMemory(memory, access: direction == .export ? [.read, .write] : .read)
        let transfer = try KVTransfer(
            direction, range, of: pool.description, storage: pool.base, try KVLayout(for: pool.description, axes: Pool.axes), array: reached.base, layout)
        try queue(sync).submit(sync) { () throws(DriverFailure) in
            let start = Clock.now()
            withExtendedLifetime((pool, reached)) { transfer.run() }
            return .wall(since: start)
        }
    }

    func copyBlocks(_ pool: any PoolImplementation, _ pairs: [(from: UInt32, to: UInt32)], _ sync: Sync) throws(DriverFailure) {
        guard let pool = pool as? Pool else { throw DriverFailure(.invalidArgument, "a pool of another driver") }
        let (block, copies) = (pool.description.byteCount / pool.description.blockCount, pairs.map { (Int($0.from), Int($0.to)) })
        try queue(sync).submit(sync) { () throws(DriverFailure) in
            let start = Clock.now()
            for (from, to) in copies where from != to { (pool.base + to * block).copyMemory(from: pool.base + from * block, byteCount: block) }
            return .wall(since: start)
        }
    }
}
