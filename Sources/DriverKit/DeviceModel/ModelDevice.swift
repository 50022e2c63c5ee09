import Synchronization

/// An open modelled device: an engine computes, the model adds capacity, shapes, back-pressure, loss and modelled time.
/// Queue 0 is for batches, queue 1 for copies of KV, so that a handoff runs beside prefill; each has its own thread.
public final class ModelDevice: DeviceImplementation {
    private let model: DeviceModel
    private let engine: any DeviceEngine
    private let budget: MemoryBudget
    private let queues: [SubmissionQueue]
    private let time: ModelledTime
    private let submits = Atomic<Int>(0)

    public init(_ model: DeviceModel, engine: any DeviceEngine) {
        self.model = model
        self.engine = engine
        budget = MemoryBudget(limit: Int(clamping: model.info.memoryBytes))
        let count = Int(max(1, model.info.queueCount))
        queues = (0..<count).map { _ in SubmissionQueue(depth: Int(model.info.queueDepth)) }
        time = ModelledTime(queues: count)
    }

    public var info: DeviceDescription { model.info }

    public func health() throws(DriverFailure) {
        let done = submits.load(ordering: .acquiring)
        guard model.failAfter < 0 || done < model.failAfter else {
            throw DriverFailure(.unavailable, "\(model.info.name) is lost after \(done) batches, as the option fail_after asks; open it again")
        }
        try engine.health()
    }

    private func reserve(_ bytes: Int, _ what: String) throws(DriverFailure) -> MemoryBudget.Reservation {
        do throws(DriverFailure) { return try budget.hold(bytes, for: what) } catch {
            throw model.doesNotFit(what, needed: bytes, used: budget.used)
        }
    }

    public func allocate(_ bytes: Int) throws(DriverFailure) -> any BufferImplementation {
        let reservation = try reserve(bytes, "a buffer")
        return ModelBuffer(try engine.allocate(bytes), reservation)
    }

    /// Weights come this way: the memory stays the host's, and what is resident is charged when a program is compiled.
    public func importMemory(_ memory: Memory, access: Access) throws(DriverFailure) -> any BufferImplementation {
        ModelBuffer(try engine.importMemory(memory, access: access), nil)
    }

    public func copy(
        from source: any BufferImplementation, _ sourceOffset: Int, to target: any BufferImplementation, _ targetOffset: Int, length: Int,
        _ sync: Sync
    ) throws(DriverFailure) {
        try health()
        let (engine, time, queue) = (engine, time, sync.queue)
        let cost = model.clock.transfer(Work(.kvImport, pieceCount: 1, bytes: length))
        try queues[queue].submit(sync) { () throws(DriverFailure) in
            try engine.copy(from: source, sourceOffset, to: target, targetOffset, length: length)
            return time.run(queue, ready: { _ in 0 }, cost.nanoseconds)
        }
    }

    /// Charges the weights as resident in 16 bits and the workspace, then lets the engine repack what was given.
    public func compile(_ program: ProgramDescription) throws(DriverFailure) -> any ProgramImplementation {
        try health()
        try model.check(tokens: program.maxTokens, sequences: program.maxSequences)
        for tensor in program.tensors where tensor.role == .weight && !model.info.weightDTypes.contains(tensor.dtype) {
            throw DriverFailure(.unimplemented, "weight '\(tensor.name)' is \(tensor.dtype), which \(model.info.name) does not take; convert it first")
        }
        let shape = ProgramShape(program)
        let reservation = try reserve(ProgramShape.sum(shape.residentBytes, shape.workspaceBytes), "the program, weights in 16 bits,")
        program.report(0.05)
        let compiled = try engine.compile(program)
        program.report(1)
        var info = ProgramInfo(weightBytes: UInt64(shape.residentBytes), workspaceBytes: UInt64(shape.workspaceBytes))
        if case .buckets(let buckets) = model.info.shapes { info.buckets = Self.needed(buckets, program.maxTokens) }
        return ModelProgram(program, shape, info, compiled, reservation)
    }

    /// The buckets a program of `tokens` tokens at most runs in.
    private static func needed(_ buckets: [UInt32], _ tokens: Int) -> [UInt32] {
        let last = buckets.firstIndex { Int($0) >= tokens } ?? buckets.count - 1
        return Array(buckets.prefix(last + 1))
    }

    public func createPool(_ pool: KVPoolDescription) throws(DriverFailure) -> any PoolImplementation {
        try health()
        let reservation = try reserve(pool.byteCount, "a KV pool")
        return ModelPool(pool, try engine.createPool(pool), reservation)
    }

    public func adoptPool(_ pool: KVPoolDescription, memory: Memory, layout: KVLayout) throws(DriverFailure) -> any PoolImplementation {
        throw DriverFailure(.unimplemented, "\(model.info.name) keeps KV in its own memory and adopts no one else's; import it instead")
    }

    public func sharePool(_ pool: any PoolImplementation, as kind: Memory.Kind) throws(DriverFailure) -> (memory: Memory, layout: KVLayout) {
        throw DriverFailure(.unimplemented, "\(model.info.name) keeps KV in its own memory, which no other device sees; export it instead")
    }

    public func submit(_ program: any ProgramImplementation, _ batch: Batch, _ sync: Sync) throws(DriverFailure) {
        guard let program = program as? ModelProgram else { throw .invalid("a program of another driver; compile it on this device") }
        try health()
        try model.check(tokens: batch.tokenCount, sequences: batch.sequenceCount)
        let work = Work(
            .run, tokenCount: batch.tokenCount, sequenceCount: batch.sequenceCount, contextTokens: batch.contextTokens, rowCount: batch.rows.count)
        let cost = try model.clock.run(program.shape, work)
        let (engine, time) = (engine, time)
        try queues[sync.queue].submit(sync) { () throws(DriverFailure) in
            try Self.run(engine, time, program, batch, sync, work, cost.nanoseconds)
        }
        submits.add(1, ordering: .acquiringAndReleasing)
    }

    private static func run(
        _ engine: any DeviceEngine, _ time: ModelledTime, _ program: ModelProgram, _ batch: Batch, _ sync: Sync, _ work: Work, _ cost: UInt64
    ) throws(DriverFailure) -> Times {
        let pool = batch.pool as? ModelPool
        let times = time.run(sync.queue, ready: { free in pool?.arrival(batch, after: free) ?? 0 }, cost)
        let description = program.description
        let spread = LayerTimes(
            times: times, firstLayer: description.firstLayer, layers: description.layerCount, share: program.shape.layerShare(work))
        pool?.wrote(batch, spread)
        let layerDone: ((Int) -> Void)? = sync.layers == nil ? nil : { sync.signalLayer($0, spread.layer($0)) }
        try engine.run(program.engine, batch, pool: pool?.engine, layerDone: layerDone)
        return times
    }

    public func exportRange(
        _ pool: any PoolImplementation, _ range: KVRange, _ layout: KVLayout, to memory: Memory, _ sync: Sync
    ) throws(DriverFailure) {
        let (pool, work) = try move(.kvExport, pool, range, layout)
        let (engine, time) = (engine, time)
        let cost = model.clock.transfer(work).nanoseconds
        try queues[sync.queue].submit(sync) { () throws(DriverFailure) in
            try engine.exportRange(pool.engine, range, layout, to: memory)
            return time.transfer(ready: pool.ready(range), cost)
        }
    }

    public func importRange(
        _ pool: any PoolImplementation, _ range: KVRange, _ layout: KVLayout, from memory: Memory, _ sync: Sync
    ) throws(DriverFailure) {
        let (pool, work) = try move(.kvImport, pool, range, layout)
        let (engine, time) = (engine, time)
        let cost = model.clock.transfer(work).nanoseconds
        try queues[sync.queue].submit(sync) { () throws(DriverFailure) in
            try engine.importRange(pool.engine, range, layout, from: memory)
            let times = time.transfer(ready: 0, cost)
            pool.arrived(range.blocks, times.end)
            return times
        }
    }

    private func move(
        _ kind: Work.Kind, _ pool: any PoolImplementation, _ range: KVRange, _ layout: KVLayout
    ) throws(DriverFailure) -> (ModelPool, Work) {
        guard let pool = pool as? ModelPool else { throw .invalid("a pool of another driver; make it on this device") }
        try health()
        guard try model.layouts(pool.description).contains(layout) else {
            throw .invalid("\(model.info.name) moves KV as \(pool.description.dtype) in the order \(model.exchangeAxes); ask layouts and convert on the host")
        }
        return (pool, Work(kind, pieceCount: 1, bytes: try layout.bytes(layers: range.layerCount, blocks: range.blocks.count)))
    }

    public func copyBlocks(_ pool: any PoolImplementation, _ pairs: [(from: UInt32, to: UInt32)], _ sync: Sync) throws(DriverFailure) {
        guard let pool = pool as? ModelPool else { throw .invalid("a pool of another driver; make it on this device") }
        try health()
        let (engine, time) = (engine, time)
        let bytes = ProgramShape.product([pairs.count, pool.description.blockBytes])
        let cost = model.clock.transfer(Work(.kvImport, pieceCount: 1, bytes: bytes)).nanoseconds
        let last = pool.description.firstLayer + pool.description.layers - 1
        try queues[sync.queue].submit(sync) { () throws(DriverFailure) in
            try engine.copyBlocks(pool.engine, pairs)
            let times = time.transfer(ready: pool.ready(pairs.map(\.from), lastLayer: last), cost)
            pool.arrived(pairs.map(\.to), times.end)
            return times
        }
    }

    public func quiesce(timeout: UInt64) throws(DriverFailure) { try SubmissionQueue.quiesce(queues, timeout: timeout) }
}

/// A program on a modelled device.
final class ModelProgram: ProgramImplementation {
    let description: ProgramDescription
    let shape: ProgramShape
    let info: ProgramInfo
    let engine: any EngineProgram
    private let reservation: MemoryBudget.Reservation

    init(
        _ description: ProgramDescription, _ shape: ProgramShape, _ info: ProgramInfo, _ engine: any EngineProgram,
        _ reservation: MemoryBudget.Reservation
    ) {
        self.description = description
        self.shape = shape
        self.info = info
        self.engine = engine
        self.reservation = reservation
    }
}

/// A buffer of the engine, charged to the device when it was allocated there.
final class ModelBuffer: BufferImplementation {
    let engine: any BufferImplementation
    private let reservation: MemoryBudget.Reservation?

    init(_ engine: any BufferImplementation, _ reservation: MemoryBudget.Reservation?) {
        self.engine = engine
        self.reservation = reservation
    }

    var length: Int { engine.length }
    func write(_ offset: Int, _ source: UnsafeRawBufferPointer) throws(DriverFailure) { try engine.write(offset, source) }
    func read(_ offset: Int, into target: UnsafeMutableRawBufferPointer) throws(DriverFailure) { try engine.read(offset, into: target) }
    func map(_ access: Access) throws(DriverFailure) -> UnsafeMutableRawPointer { try engine.map(access) }
    func unmap() { engine.unmap() }
    func export(as kind: Memory.Kind) throws(DriverFailure) -> Memory { try engine.export(as: kind) }
}
