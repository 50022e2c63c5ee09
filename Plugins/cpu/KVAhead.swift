import CPUKernels
import DriverKit

/// The KV that a batch's attentions read, asked for by the linear operations before each: those compute, and leave memory idle. Only where a batch
/// has more tokens than one tile of a linear operation, whose first tile brings weights.
final class KVAhead: @unchecked Sendable {
    private let workers: Int
    /// What each worker asks for in a layer, and is left of it.
    private let shares, asks: UnsafeMutablePointer<cpuk_ask>
    /// Blocks of each worker's share, one share after another.
    private var blocks: [UInt32] = []
    private let kept = Scratch()
    private var storage: KVStorage?

    init(workers: Int) {
        self.workers = workers
        shares = .allocate(capacity: 2 * workers)
        shares.initialize(repeating: cpuk_ask(), count: 2 * workers)
        asks = shares + workers
    }

    deinit { shares.deallocate() }

    /// Tokens from which on a linear operation has a second tile.
    private static let leastTokens = 9

    /// Finds the blocks of a batch, in the order in which attention takes its sequences, so that a worker asks for what it will read.
    func begin(_ batch: Batch, _ pool: Pool?) {
        blocks.removeAll(keepingCapacity: true)
        storage = batch.tokenCount >= Self.leastTokens ? pool.map(KVStorage.init) : nil
        guard let storage else { return }
        for run in batch.runs.reversed() {
            let count = (run.firstPosition + run.tokens.count - 1) / storage.blockTokens + 1
            let table = run.sequence * batch.blockTableStride
            blocks += batch.blockTables[table..<table + min(count, batch.blockTableStride)]
        }
        let copy = kept.room(blocks.count * 4).assumingMemoryBound(to: UInt32.self)
        blocks.withUnsafeBufferPointer { if let base = $0.baseAddress { copy.update(from: base, count: $0.count) } }
        let each = UInt32((blocks.count + workers - 1) / workers)
        for worker in 0..<workers {
            let (next, last) = (min(UInt32(worker) * each, UInt32(blocks.count)), min(UInt32(worker + 1) * each, UInt32(blocks.count)))
            shares[worker] = cpuk_ask(
                base: nil, blocks: UnsafePointer(copy), stride: UInt64(storage.blockBytes), bytes: UInt64(storage.layerBytes), at: 0, next: next, last: last)
        }
    }

    /// What a worker's linear operations ask for from now on: KV of `layer`, counted in the whole model; nil where there is none.
    func asking(layer: Int, worker: Int) -> UnsafeMutablePointer<cpuk_ask>? {
        guard let storage, storage.layers.contains(layer) else { return nil }
        asks[worker] = shares[worker]
        asks[worker].base = UnsafePointer(storage.layer(layer).assumingMemoryBound(to: UInt8.self))
        return asks + worker
    }
}
