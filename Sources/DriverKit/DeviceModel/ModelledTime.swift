import Synchronization

/// The device's modelled time: when each queue and the KV engine are free, in nanoseconds since the device was opened.
/// It advances with work alone, never with the host's clock. Threads: any.
final class ModelledTime: Sendable {
    private struct State {
        var queues: [UInt64]
        var transfers: UInt64 = 0
    }

    private let state: Mutex<State>

    init(queues: Int) { state = Mutex(State(queues: [UInt64](repeating: 0, count: queues))) }

    /// Takes a queue for `cost` nanoseconds, from when it is free and `ready` has come.
    func run(_ queue: Int, ready: (UInt64) -> UInt64, _ cost: UInt64) -> Times {
        state.withLock { state in
            let start = max(state.queues[queue], ready(state.queues[queue]))
            let end = Self.add(start, cost)
            state.queues[queue] = end
            return Times(.modelled, start: start, end: end)
        }
    }

    /// Takes the KV engine for `cost` nanoseconds, from when it is free and the KV is `ready`.
    func transfer(ready: UInt64, _ cost: UInt64) -> Times {
        state.withLock { state in
            let start = max(state.transfers, ready)
            state.transfers = Self.add(start, cost)
            return Times(.modelled, start: start, end: state.transfers)
        }
    }

    static func add(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let (sum, overflow) = a.addingReportingOverflow(b)
        return overflow ? .max : sum
    }
}

/// When the KV of one layer of a run is complete: the layers' share of the run's time, spread over them evenly.
struct LayerTimes: Sendable {
    var times: Times
    var firstLayer: Int
    var layers: Int
    /// The part of the run that its layers take, 0 to 1.
    var share: Double

    /// The `index`-th layer of the program, from 0.
    func end(_ index: Int) -> UInt64 {
        let part = share * Double(min(max(index + 1, 0), layers)) / Double(max(layers, 1))
        return min(times.end, times.start + UInt64(Double(times.end - times.start) * min(max(part, 0), 1)))
    }

    func layer(_ index: Int) -> Times { Times(.modelled, start: index == 0 ? times.start : end(index - 1), end: end(index)) }
}

/// A pool on a modelled device, with the modelled time at which each block's KV became complete.
final class ModelPool: PoolImplementation {
    private struct Ready {
        var run: LayerTimes?
        var arrived: UInt64 = 0
    }
    private struct State {
        var blocks: [UInt32: Ready] = [:]
        var lastArrival: UInt64 = 0
    }

    let description: KVPoolDescription
    let engine: any EnginePool
    private let reservation: MemoryBudget.Reservation
    private let state = Mutex(State())

    init(_ description: KVPoolDescription, _ engine: any EnginePool, _ reservation: MemoryBudget.Reservation) {
        self.description = description
        self.engine = engine
        self.reservation = reservation
    }

    /// When every KV block the batch reads has arrived, if that is after `free`.
    func arrival(_ batch: Batch, after free: UInt64) -> UInt64 {
        state.withLock { state in
            guard state.lastArrival > free else { return 0 }
            return blocks(batch, written: false).reduce(0) { max($0, state.blocks[$1]?.arrived ?? 0) }
        }
    }

    /// The batch writes its tokens' blocks in these times.
    func wrote(_ batch: Batch, _ run: LayerTimes) {
        state.withLock { state in
            for block in blocks(batch, written: true) { state.blocks[block, default: Ready()].run = run }
        }
    }

    /// Blocks that an import or a copy filled by `end`.
    func arrived(_ blocks: [UInt32], _ end: UInt64) {
        state.withLock { state in
            state.lastArrival = max(state.lastArrival, end)
            for block in blocks { state.blocks[block] = Ready(run: nil, arrived: end) }
        }
    }

    /// When the range's KV is complete.
    func ready(_ range: KVRange) -> UInt64 {
        let last = range.firstLayer + range.layerCount - 1
        return ready(range.blocks, lastLayer: last)
    }

    func ready(_ blocks: [UInt32], lastLayer: Int) -> UInt64 {
        state.withLock { state in
            blocks.reduce(0) { latest, block in
                guard let ready = state.blocks[block] else { return latest }
                return max(latest, ready.arrived, ready.run.map { $0.end(lastLayer - $0.firstLayer) } ?? 0)
            }
        }
    }

    private func blocks(_ batch: Batch, written: Bool) -> [UInt32] {
        var found: [UInt32] = []
        for run in batch.runs {
            let first = written ? run.firstPosition / description.blockTokens : 0
            let last = (run.firstPosition + run.tokens.count - 1) / description.blockTokens
            let base = run.sequence * batch.blockTableStride
            found.append(contentsOf: batch.blockTables[(base + first)...(base + last)])
        }
        return found
    }
}
