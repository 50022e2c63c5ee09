/// A device model: real results from its engine, times from its timing, and the device's own limits: memory, shapes, queues, failures.
///
/// Its clock is modelled: nanoseconds since it was opened, moved on by work alone. Batches follow each other on one modelled engine; KV
/// moves on another, as soon as the layers it takes are complete, so that a handoff overlaps prefill in modelled time too.
public final class ModelDevice: DeviceImplementation {
    public let info: DeviceDescription
    private let timing: any DeviceTiming
    private let engine: any DeviceEngine
    private let budget: MemoryBudget
    private let queues: [SubmissionQueue]
    private let clock: ModelledClock
    private let failAfter: Int

    /// - Parameter failAfter: submits after which the device is lost, negative for never.
    public init(info: DeviceDescription, timing: any DeviceTiming, engine: any DeviceEngine, failAfter: Int = -1) {
        self.info = info
        self.timing = timing
        self.engine = engine
        self.failAfter = failAfter
        budget = MemoryBudget(limit: Int(clamping: info.memoryBytes))
        queues = (0..<2).map { _ in SubmissionQueue(depth: Int(info.queueDepth)) }
        clock = ModelledClock()
    }

    public func health() throws(DriverFailure) {
        guard failAfter < 0 || clock.submits < failAfter else {
            throw DriverFailure(.unavailable, "the device is lost: fail_after \(failAfter) submits have run")
        }
    }

    private func queue(_ sync: Sync) throws(DriverFailure) -> SubmissionQueue {
        guard queues.indices.contains(sync.queue) else {
            throw DriverFailure(.invalidArgument, "queue \(sync.queue) does not exist; the device has \(queues.count)")
        }
        return queues[sync.queue]
    }

    /// Takes device memory, or says how much there is and what would do.
    private func reserve(_ bytes: Int, for what: String) throws(DriverFailure) -> MemoryBudget.Reservation {
        do throws(DriverFailure) { return try budget.hold(bytes, for: what) } catch {
            let total = budget.used + bytes
            throw DriverFailure(error.code, "\(error.message); \(timing.units(for: total)) would do")
        }
    }

    public func allocate(_ bytes: Int) throws(DriverFailure) -> any BufferImplementation {
        Held(try engine.allocate(bytes), try reserve(bytes, for: "a buffer"))
    }

    /// Imported memory is the host's: what the device keeps of it is counted when a program is compiled.
    public func importMemory(_ memory: Memory, access: Access) throws(DriverFailure) -> any BufferImplementation {
        Held(try engine.importMemory(memory, access: access), nil)
    }

    public func compile(_ program: ProgramDescription) throws(DriverFailure) -> any ProgramImplementation {
        if case .buckets(let buckets) = info.shapes, let largest = buckets.last, program.maxTokens > Int(largest) {
            throw DriverFailure(.outOfRange, "batches of \(program.maxTokens) tokens; the largest bucket is \(largest)")
        }
        let bytes = program.weightElements * 2
        let reservation = try reserve(bytes, for: "weights in 16 bits")
        return ModelProgram(try engine.compile(program.replacingBuffers { ($0 as? Held)?.inner ?? $0 }), program, info, reservation)
    }

    public func createPool(_ pool: KVPoolDescription) throws(DriverFailure) -> any PoolImplementation {
        guard pool.dtype == info.kvDType else {
            throw DriverFailure(.invalidArgument, "a KV pool of \(pool.dtype); \(info.name) holds \(info.kvDType)")
        }
        return ModelPool(try engine.createPool(pool), try reserve(pool.byteCount, for: "a KV pool"))
    }

    public func submit(_ program: any ProgramImplementation, _ batch: Batch, _ sync: Sync) throws(DriverFailure) {
        try health()
        guard let program = program as? ModelProgram else { throw DriverFailure(.invalidArgument, "a program of another device") }
        let work = Work(
            .run, tokenCount: batch.tokenCount, sequenceCount: batch.sequenceCount, contextTokens: batch.contextTokens, rowCount: batch.rows.count)
        let cost = try timing.run(program.description, work)
        let layerShare = Self.layerShare(program.description, work)
        let pool = batch.pool as? ModelPool
        let inner = batch.replacing(pool: pool?.inner) { ($0 as? Held)?.inner ?? $0 }
        let (engine, clock) = (engine, clock)
        clock.countSubmit()
        try queue(sync).submit(sync) { () throws(DriverFailure) in
            let span = clock.batch(cost.nanoseconds)
            let count = max(1, program.description.layerCount)
            try engine.run(program.inner, inner) { layer in
                let end = span.start + UInt64(Double(cost.nanoseconds) * layerShare * Double(layer + 1) / Double(count))
                pool?.complete(layer: program.description.firstLayer + layer, at: end)
                sync.signalLayer(layer, Times(.modelled, start: span.start, end: end))
            }
            return Times(.modelled, start: span.start, end: span.end)
        }
    }

    /// The part of a run that is over when the last layer's KV is complete.
    private static func layerShare(_ program: ProgramDescription, _ work: Work) -> Double {
        let (layers, head) = (Double(program.layerFlops(work)), Double(program.headFlops(work)))
        return layers + head > 0 ? layers / (layers + head) : 1
    }

    public func exportRange(_ pool: any PoolImplementation, _ range: KVRange, _ layout: KVLayout, to memory: Memory, _ sync: Sync) throws(DriverFailure) {
        let engine = engine
        try move(pool, range, layout, importing: false, sync) { (inner: any PoolImplementation) throws(DriverFailure) in
            try engine.exportRange(inner, range, layout, to: memory)
        }
    }

    public func importRange(_ pool: any PoolImplementation, _ range: KVRange, _ layout: KVLayout, from memory: Memory, _ sync: Sync) throws(DriverFailure) {
        let engine = engine
        try move(pool, range, layout, importing: true, sync) { (inner: any PoolImplementation) throws(DriverFailure) in
            try engine.importRange(inner, range, layout, from: memory)
        }
    }

    private func move(
        _ pool: any PoolImplementation, _ range: KVRange, _ layout: KVLayout, importing: Bool, _ sync: Sync,
        _ body: @escaping @Sendable (any PoolImplementation) throws(DriverFailure) -> Void
    ) throws(DriverFailure) {
        try health()
        guard let pool = pool as? ModelPool else { throw DriverFailure(.invalidArgument, "a pool of another device") }
        let bytes = try layout.bytes(layers: range.layerCount, blocks: range.blocks.count)
        let took = timing.transfer(bytes: bytes, pieces: 1, importing: importing)
        let clock = clock
        try queue(sync).submit(sync) { () throws(DriverFailure) in
            try body(pool.inner)
            let ready = importing ? 0 : pool.completion(of: range.firstLayer..<range.firstLayer + range.layerCount)
            let span = clock.copy(took, after: ready)
            return Times(.modelled, start: span.start, end: span.end)
        }
    }

    public func copyBlocks(_ pool: any PoolImplementation, _ pairs: [(from: UInt32, to: UInt32)], _ sync: Sync) throws(DriverFailure) {
        guard let pool = pool as? ModelPool else { throw DriverFailure(.invalidArgument, "a pool of another device") }
        let (engine, clock) = (engine, clock)
        let blocks = pairs.map { [$0.from, $0.to] }
        try queue(sync).submit(sync) { () throws(DriverFailure) in
            try engine.copyBlocks(pool.inner, blocks.map { (from: $0[0], to: $0[1]) })
            let span = clock.copy(0, after: 0)
            return Times(.modelled, start: span.start, end: span.end)
        }
    }

    public func quiesce(timeout: UInt64) throws(DriverFailure) { try SubmissionQueue.quiesce(queues, timeout: timeout) }

    public func close() { engine.close() }
}
