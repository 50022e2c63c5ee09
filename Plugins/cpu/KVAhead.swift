import CPUKernels
import DriverKit

/// The KV that a batch's attentions read, asked for by the linear operations before each: those compute, and leave memory idle. Only where a batch
/// has more tokens than one tile of a linear operation, whose first tile brings weights.
final class KVAhead: @unchecked Sendable {
    private let workers: Int
    private let asks: UnsafeMutablePointer<cpuk_ask>
    /// Blocks of each worker's share, one share after another.
    private var blocks: [UInt32] = []
    private let kept = Scratch()
    private var shares: [Range<UInt32>] = []
    private var pool: Pool?

    init(workers: Int) {
        self.workers = workers
        asks = .allocate(capacity: workers)
        asks.initialize(repeating: cpuk_ask(), count: workers)
    }

    deinit { asks.deallocate() }

    /// Tokens from which on a linear operation has a second tile.
    private static let leastTokens = 9

    /// Finds the blocks of a batch, in the order in which attention takes its sequences, so that a worker asks for what it will read.
    func begin(_ batch: Batch, _ pool: Pool?) {
        blocks.removeAll(keepingCapacity: true)
        self.pool = batch.tokenCount >= Self.leastTokens ? pool : nil
        guard let pool = self.pool else { return }
        for run in batch.runs.reversed() {
            let count = (run.firstPosition + run.tokens.count - 1) / pool.description.blockTokens + 1
            let table = run.sequence * batch.blockTableStride
            blocks += batch.blockTables[table..<table + min(count, batch.blockTableStride)]
        }
        let copy = kept.room(blocks.count * 4).assumingMemoryBound(to: UInt32.self)
        blocks.withUnsafeBufferPointer { if let base = $0.baseAddress { copy.update(from: base, count: $0.count) } }
        let each = UInt32((blocks.count + workers - 1) / workers)
        shares = (0..<UInt32(workers)).map { min($0 * each, UInt32(blocks.count))..<min(($0 + 1) * each, UInt32(blocks.count)) }
    }

    /// What a worker's linear operations ask for from now on: KV of `layer`, counted in the whole model; nil where there is none.
    func asking(layer: Int, worker: Int) -> UnsafeMutablePointer<cpuk_ask>? {
        guard let pool, layer < pool.description.firstLayer + pool.description.layers else { return nil }
        asks[worker] = cpuk_ask(
            base: UnsafePointer(pool.layer(layer).assumingMemoryBound(to: UInt8.self)), blocks: UnsafePointer(kept.base.assumingMemoryBound(to: UInt32.self)),
            stride: UInt64(pool.blockBytes), bytes: UInt64(pool.layerBytes), at: 0, next: shares[worker].lowerBound, last: shares[worker].upperBound)
        return asks + worker
    }
}
