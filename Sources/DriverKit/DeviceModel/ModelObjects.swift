import Synchronization

/// The modelled clock of a device: when its batch engine and its copy engine are next free.
final class ModelledClock: Sendable {
    private struct State {
        var batchFree: UInt64 = 0
        var copyFree: UInt64 = 0
        var submits = 0
    }
    private let state = Mutex(State())

    var submits: Int { state.withLock { $0.submits } }
    func countSubmit() { state.withLock { $0.submits += 1 } }

    func batch(_ nanoseconds: UInt64) -> (start: UInt64, end: UInt64) {
        state.withLock { state in
            let start = state.batchFree
            state.batchFree = start + nanoseconds
            return (start, state.batchFree)
        }
    }

    func copy(_ nanoseconds: UInt64, after ready: UInt64) -> (start: UInt64, end: UInt64) {
        state.withLock { state in
            let start = max(state.copyFree, ready)
            state.copyFree = start + nanoseconds
            return (start, state.copyFree)
        }
    }
}

/// An engine's buffer, and the device memory it takes.
final class Held: BufferImplementation {
    let inner: any BufferImplementation
    private let reservation: MemoryBudget.Reservation?

    init(_ inner: any BufferImplementation, _ reservation: MemoryBudget.Reservation?) {
        self.inner = inner
        self.reservation = reservation
    }

    var length: Int { inner.length }
    func write(_ offset: Int, _ source: UnsafeRawBufferPointer) throws(DriverFailure) { try inner.write(offset, source) }
    func read(_ offset: Int, into target: UnsafeMutableRawBufferPointer) throws(DriverFailure) { try inner.read(offset, into: target) }
}

final class ModelProgram: ProgramImplementation {
    let inner: any ProgramImplementation
    let description: ProgramDescription
    let info: ProgramInfo
    private let reservation: MemoryBudget.Reservation

    init(_ inner: any ProgramImplementation, _ description: ProgramDescription, _ device: DeviceDescription, _ reservation: MemoryBudget.Reservation) {
        self.inner = inner
        self.description = description
        self.reservation = reservation
        var buckets: [UInt32] = []
        if case .buckets(let all) = device.shapes {
            buckets = all.filter { $0 < description.maxTokens } + all.filter { $0 >= description.maxTokens }.prefix(1)
        }
        info = ProgramInfo(
            buckets: buckets, weightBytes: UInt64(reservation.bytes), workspaceBytes: UInt64(description.maxTokens * description.activationWidth * 2))
    }
}

final class ModelPool: PoolImplementation {
    let inner: any PoolImplementation
    private let reservation: MemoryBudget.Reservation
    /// When the KV of each layer was last complete, on the modelled clock.
    private let completions: Mutex<[Int: UInt64]> = Mutex([:])

    init(_ inner: any PoolImplementation, _ reservation: MemoryBudget.Reservation) {
        self.inner = inner
        self.reservation = reservation
    }

    var description: KVPoolDescription { inner.description }
    func complete(layer: Int, at time: UInt64) { completions.withLock { $0[layer] = time } }
    func completion(of layers: Range<Int>) -> UInt64 { completions.withLock { all in layers.map { all[$0] ?? 0 }.max() ?? 0 } }
}

extension ProgramDescription {
    /// The same program with each weight's buffer changed.
    func replacingBuffers(_ change: (any BufferImplementation) -> any BufferImplementation) -> ProgramDescription {
        var program = self
        for index in program.tensors.indices { program.tensors[index].buffer = program.tensors[index].buffer.map(change) }
        return program
    }
}

extension Batch {
    /// The same batch over another pool, with each buffer changed.
    func replacing(pool: (any PoolImplementation)?, _ change: (any BufferImplementation) -> any BufferImplementation) -> Batch {
        var batch = self
        batch.pool = pool
        for index in batch.bindings.indices { batch.bindings[index].buffer = change(batch.bindings[index].buffer) }
        return batch
    }
}
