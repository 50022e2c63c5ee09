import CPUKernels
import DriverKit
import Synchronization

/// An open device: two queues, one for batches and one for copies of KV and buffers, so that a handoff runs beside prefill.
final class CPUDevice: DeviceImplementation {
    let info: DeviceDescription
    private let numerics: Numerics
    private let kernels: Kernels
    private let host: Host
    private let budget: MemoryBudget
    private let queues: [SubmissionQueue]
    /// One for each queue, since each owns the activations of the batch it runs.
    private let executions: [Execution]
    /// Own pools, and whether a program takes several sequences at once, as a server's does: it uses all of its pools, sooner or later.
    private let pools = Mutex<(mine: [WeakPool], fill: Bool)>(([], false))

    private struct WeakPool: Sendable { weak var pool: Pool? }

    /// How pools lie in memory.
    static let storageAxes: [KVLayout.Axis] = [.block, .layer, .plane, .head, .token, .dim]
    /// Batches of so many tokens over so many bytes of weights take a fraction of a second on any processor that is supported.
    private static let briefTokens = 32
    private static let briefBytes = 1 << 30
    /// Query heads that may share a KV head: the kernels keep their state on the stack.
    private static let largestGroup = 64

    init(info: DeviceDescription, numerics: Numerics, kernels: Kernels, host: Host) {
        self.info = info
        self.numerics = numerics
        self.kernels = kernels
        self.host = host
        budget = MemoryBudget(limit: Int(clamping: info.memoryBytes))
        queues = [
            SubmissionQueue(depth: Int(info.queueDepth)), SubmissionQueue(depth: Int(info.queueDepth)),
        ]
        executions = queues.map { _ in Execution(kernels: kernels, numerics: numerics, host: host) }
    }

    private func queue(_ sync: Sync) throws(DriverFailure) -> SubmissionQueue {
        guard queues.indices.contains(sync.queue) else {
            throw DriverFailure(.invalidArgument, "queue \(sync.queue) does not exist; the device has \(queues.count)")
        }
        return queues[sync.queue]
    }

    func allocate(_ bytes: Int) throws(DriverFailure) -> any BufferImplementation { try HostBuffer(allocating: bytes, budget: budget) }

    func importMemory(_ memory: Memory, access: Access) throws(DriverFailure) -> any BufferImplementation {
        try HostBuffer(importing: memory, access: access)
    }

    func copy(
        from source: any BufferImplementation, _ sourceOffset: Int, to target: any BufferImplementation, _ targetOffset: Int, length: Int,
        _ sync: Sync
    ) throws(DriverFailure) {
        guard let source = source as? HostBuffer, let target = target as? HostBuffer else {
            throw DriverFailure(.invalidArgument, "a buffer of another driver; copy through the host")
        }
        try queue(sync).submit(sync) { () throws(DriverFailure) in
            let start = Clock.now()
            try target.write(targetOffset, UnsafeRawBufferPointer(start: source.base + sourceOffset, count: length))
            return .wall(since: start)
        }
    }

    func compile(_ program: ProgramDescription) throws(DriverFailure) -> any ProgramImplementation {
        for op in program.operations where op.kind == .attention {
            guard op.heads / max(1, op.kvHeads) <= Self.largestGroup else {
                throw DriverFailure(.unimplemented, "\(op.heads) query heads over \(op.kvHeads) KV heads; at most \(Self.largestGroup) may share one")
            }
        }
        let made = CPUProgram(try Plan(program, kernels: kernels, numerics: numerics, host: host, budget: budget))
        if program.maxSequences > 1 { fillPools() }
        return made
    }

    func submit(_ program: any ProgramImplementation, _ batch: Batch, _ sync: Sync) throws(DriverFailure) {
        guard let program = program as? CPUProgram else { throw DriverFailure(.invalidArgument, "a program of another driver") }
        let pool = batch.pool as? Pool
        var bound: [Execution.Place] = []
        for binding in batch.bindings {
            guard let buffer = binding.buffer as? HostBuffer else { throw DriverFailure(.invalidArgument, "a buffer of another driver") }
            guard program.description.tensors[binding.tensor].role == .input || buffer.isWritable else {
                throw DriverFailure(.permissionDenied, "output '\(program.description.tensors[binding.tensor].name)' is bound to memory imported for reading; import it for writing")
            }
            bound.append(Execution.Place(tensor: binding.tensor, base: (buffer.base + binding.offset).assumingMemoryBound(to: Float.self)))
        }
        let queue = try queue(sync)
        let places = bound
        let execution = executions[sync.queue]
        let isBrief = batch.tokenCount <= Self.briefTokens && program.plan.packedBytes <= Self.briefBytes
        try queue.submit(sync, isBrief: isBrief) { [unowned queue] () throws(DriverFailure) in
            let start = Clock.now()
            try execution.run(
                Execution.Run(
                    plan: program.plan, batch: batch, pool: pool, bound: places, layerDone: { sync.signalLayer($0, .wall(since: start)) },
                    isCancelled: { queue.isCancelled }))
            return .wall(since: start)
        }
    }

    func createPool(_ pool: KVPoolDescription) throws(DriverFailure) -> any PoolImplementation {
        guard [.f32, .f16, .bf16].contains(pool.dtype) else { throw DriverFailure(.invalidArgument, "a KV pool of \(pool.dtype); f32, f16 and bf16 can be held") }
        let made = try Pool(pool, budget: budget)
        let fill = pools.withLock { pools in
            pools.mine.removeAll { $0.pool == nil }
            pools.mine.append(WeakPool(pool: made))
            return pools.fill
        }
        if fill { made.willFill() }
        return made
    }

    private func fillPools() {
        let mine = pools.withLock { pools in
            pools.fill = true
            return pools.mine
        }
        for pool in mine { pool.pool?.willFill() }
    }

    func sharePool(_ pool: any PoolImplementation, as kind: Memory.Kind) throws(DriverFailure) -> (memory: Memory, layout: KVLayout) {
        guard kind == .host, let pool = pool as? Pool else { throw DriverFailure(.unimplemented, "this driver shares KV storage as host memory only") }
        return (.host(pool.base, length: pool.description.byteCount), try KVLayout(for: pool.description, axes: Self.storageAxes))
    }

    func adoptPool(_ pool: KVPoolDescription, memory: Memory, layout: KVLayout) throws(DriverFailure) -> any PoolImplementation {
        let wanted = try KVLayout(for: pool, axes: Self.storageAxes)
        guard memory.kind == .host, layout == wanted else {
            throw DriverFailure(.unimplemented, "only host memory in this driver's own layout can be adopted; export and import instead")
        }
        guard memory.length >= pool.byteCount, let base = UnsafeMutableRawPointer(bitPattern: UInt(memory.address)) else {
            throw DriverFailure(.outOfRange, "the shared storage has \(memory.length) bytes and the pool needs \(pool.byteCount)")
        }
        return Pool(pool, adopting: base + memory.offset)
    }

    func exportRange(_ pool: any PoolImplementation, _ range: KVRange, _ layout: KVLayout, to memory: Memory, _ sync: Sync) throws(DriverFailure) {
        try transfer(pool, range, layout, memory, exporting: true, sync)
    }

    func importRange(_ pool: any PoolImplementation, _ range: KVRange, _ layout: KVLayout, from memory: Memory, _ sync: Sync) throws(DriverFailure) {
        try transfer(pool, range, layout, memory, exporting: false, sync)
    }

    /// Bytes of one piece from which on they are imported past the caches.
    private static let pastCaches = 256 << 10

    private func transfer(
        _ pool: any PoolImplementation, _ range: KVRange, _ layout: KVLayout, _ memory: Memory, exporting: Bool, _ sync: Sync
    ) throws(DriverFailure) {
        guard let pool = pool as? Pool else { throw DriverFailure(.invalidArgument, "a pool of another driver") }
        let bytes = try layout.bytes(layers: range.layerCount, blocks: range.blocks.count)
        let host = try HostMemory(memory, access: exporting ? [.read, .write] : .read)
        guard host.length >= bytes else {
            throw DriverFailure(.outOfRange, "the memory has \(host.length) bytes and the range takes \(bytes)")
        }
        // What is long does not stay in the caches until it is attended to.
        let past: KVTransfer.Copy = { to, from, count in cpuk_copy_past_caches(to, from, count) }
        let transfer = try KVTransfer(
            exporting ? .export : .import, range, of: pool.description, storage: pool.base,
            try KVLayout(for: pool.description, axes: Self.storageAxes), array: host.base, layout,
            copy: exporting || bytes < Self.pastCaches ? nil : past)
        try queue(sync).submit(sync) { () throws(DriverFailure) in
            let start = Clock.now()
            withExtendedLifetime((pool, host)) { transfer.run() }
            return .wall(since: start)
        }
    }

    func copyBlocks(_ pool: any PoolImplementation, _ pairs: [(from: UInt32, to: UInt32)], _ sync: Sync) throws(DriverFailure) {
        guard let pool = pool as? Pool else { throw DriverFailure(.invalidArgument, "a pool of another driver") }
        let copies = pairs.map { (Int($0.from), Int($0.to)) }
        try queue(sync).submit(sync) { () throws(DriverFailure) in
            let start = Clock.now()
            for (from, to) in copies where from != to {
                (pool.base + to * pool.blockBytes).copyMemory(from: pool.base + from * pool.blockBytes, byteCount: pool.blockBytes)
            }
            return .wall(since: start)
        }
    }

    func quiesce(timeout: UInt64) throws(DriverFailure) { try SubmissionQueue.quiesce(queues, timeout: timeout) }
}

/// A compiled program.
final class CPUProgram: ProgramImplementation {
    let plan: Plan
    var description: ProgramDescription { plan.description }

    init(_ plan: Plan) { self.plan = plan }

    var info: ProgramInfo {
        ProgramInfo(weightBytes: UInt64(plan.packedBytes), workspaceBytes: UInt64(plan.workspaceBytes))
    }
}
