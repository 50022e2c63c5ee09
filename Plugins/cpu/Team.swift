import Glibc
import Synchronization

/// What a worker does while it waits: something short, again and again.
protocol Waiting {
    mutating func wait()
}

/// The workers that run one batch together. Each goes through all parts of it in the same order; a part's pieces are taken by whoever comes, and
/// nobody begins the next part before all of them are done. Whoever took a piece is running, so nobody waits for a worker that comes late or never:
/// one alone does everything.
///
/// Between two parts there is one counter to look at: that is all it costs, and a batch of one token has hundreds.
final class Team: @unchecked Sendable {
    let workers: Int
    /// What is done of the part that is running, and what was taken of each worker's run of it, a cache line each. The upper half names the part, so
    /// that nothing has to be put back to zero between two of them.
    private let lines: UnsafeMutablePointer<Atomic<UInt64>>
    private static let line = 64 / MemoryLayout<Atomic<UInt64>>.stride
    /// Looks at a counter before the processor is offered to others: whoever has the last piece may be waiting for it.
    private static let spins = 512

    init(workers: Int) {
        self.workers = workers
        lines = .allocate(capacity: (workers + 1) * Self.line)
        for index in 0..<(workers + 1) * Self.line { (lines + index).initialize(to: Atomic(0)) }
    }

    deinit { lines.deallocate() }

    /// Before a batch, while no worker is in it.
    func begin() { for index in 0...workers { lines[index * Self.line].store(0, ordering: .relaxed) } }

    /// One worker on its way through a batch.
    struct Member<Wait: Waiting> {
        let team: Team
        let worker: Int
        var waiting: Wait
        private var part: UInt64 = 0

        init(_ team: Team, worker: Int, waiting: Wait) { (self.team, self.worker, self.waiting) = (team, worker, waiting) }

        /// The next part: `body(begin, end)` for ranges of [0, count). Each worker has an equal run of them, so that it reads memory in one stream, and
        /// helps the others with theirs when it is done. Returns when all are done.
        @inline(__always)
        mutating func share(_ count: Int, _ body: (Int, Int) -> Void) {
            part += 1
            if count == 0 || team.isDone(part, count) { return }
            for turn in 0..<team.workers {
                let run = (worker + turn) % team.workers
                let (start, end) = (count * run / team.workers, count * (run + 1) / team.workers)
                // Each piece is half of what is left: long streams first, short ones to end with.
                while let taken = team.take(part, run, of: UInt64.bitWidth - (end - start).leadingZeroBitCount) {
                    let (from, to) = (end - (end - start) >> taken, end - (end - start) >> (taken + 1))
                    body(from, to)
                    team.finish(part, to - from)
                }
            }
            wait(count)
        }

        /// The next part: `body(index)` for each of [0, count), whoever comes taking the next: for pieces of uneven length, the longest first.
        @inline(__always)
        mutating func each(_ count: Int, _ body: (Int) -> Void) {
            part += 1
            if count == 0 || team.isDone(part, count) { return }
            while let index = team.take(part, 0, of: count) {
                body(index)
                team.finish(part, 1)
            }
            wait(count)
        }

        private mutating func wait(_ count: Int) {
            var looked = 0
            while !team.isDone(part, count) {
                waiting.wait()
                looked += 1
                if looked > Team.spins { sched_yield() }
            }
        }
    }

    /// How many pieces of a worker's run were taken before this one; nil where none is left, or the part is long over.
    @inline(__always)
    fileprivate func take(_ part: UInt64, _ run: Int, of count: Int) -> Int? {
        let word = (lines + (run + 1) * Self.line)
        var now = word.pointee.load(ordering: .relaxed)
        while now >> 32 <= part {
            let taken = now >> 32 == part ? now & 0xFFFF_FFFF : 0
            guard taken < count else { return nil }
            let (exchanged, found) = word.pointee.compareExchange(expected: now, desired: part << 32 | (taken + 1), ordering: .relaxed)
            if exchanged { return Int(taken) }
            now = found
        }
        return nil
    }

    @inline(__always)
    fileprivate func finish(_ part: UInt64, _ count: Int) {
        var now = lines.pointee.load(ordering: .relaxed)
        while true {
            let done = now >> 32 == part ? now & 0xFFFF_FFFF : 0
            let (exchanged, found) = lines.pointee.compareExchange(
                expected: now, desired: part << 32 | (done + UInt64(count)), successOrdering: .acquiringAndReleasing, failureOrdering: .relaxed)
            if exchanged { return }
            now = found
        }
    }

    @inline(__always)
    fileprivate func isDone(_ part: UInt64, _ count: Int) -> Bool {
        let now = lines.pointee.load(ordering: .acquiring)
        return now >> 32 > part || now == part << 32 | UInt64(count)
    }
}
