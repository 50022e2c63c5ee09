import Glibc
import Synchronization

/// What a worker does while it waits: something short, again and again.
protocol Waiting {
    mutating func wait()
}

/// The workers that run one batch together. Each goes through all parts of it in the same order; a part's pieces are its own first, then whoever's
/// are left, and nobody begins the next part before all of them are done. Whoever took a piece is running, so nobody waits for a worker that comes
/// late or never: one alone does everything.
///
/// A batch of one token has hundreds of parts. Between two of them each worker writes one cache line, which the others look at, and nothing else
/// passes from core to core: where cores share no cache that takes a quarter of a microsecond each time.
final class Team: @unchecked Sendable {
    let workers: Int
    /// What each worker has done of the part that is running, which it alone writes; what was taken of each worker's run of it; what was taken of a part
    /// that has no runs. Two cache lines each. The upper half names the part, so that nothing has to be put back to zero between two of them.
    private let done, taken: UnsafeMutablePointer<Atomic<UInt64>>
    private static let line = 128 / MemoryLayout<Atomic<UInt64>>.stride
    /// Looks at the others before a worker takes from their runs: as long as equal runs differ by, a microsecond or two.
    private static let patience = 32
    /// Looks at the others before the processor is offered to them: whoever has the last piece may be waiting for it.
    private static let spins = 512

    init(workers: Int) {
        self.workers = workers
        let count = (2 * workers + 1) * Self.line
        done = .allocate(capacity: count)
        taken = done + workers * Self.line
        for index in 0..<count { (done + index).initialize(to: Atomic(0)) }
    }

    deinit { done.deallocate() }

    /// Before a batch, while no worker is in it.
    func begin() { for index in 0...2 * workers { done[index * Self.line].store(0, ordering: .relaxed) } }

    /// One worker on its way through a batch.
    struct Member<Wait: Waiting> {
        let team: Team
        let worker: Int
        var waiting: Wait
        private var part: UInt64 = 0
        /// The others left something of the part before.
        private var isEager = false

        init(_ team: Team, worker: Int, waiting: Wait) { (self.team, self.worker, self.waiting) = (team, worker, waiting) }

        /// The next part: `body(begin, end)` for ranges of [0, count). Each worker has an equal run of them, so that it reads memory in one stream, and
        /// helps the others with theirs when it is done and they are not. Returns when all are done.
        @inline(__always)
        mutating func share(_ count: Int, _ body: (Int, Int) -> Void) {
            part += 1
            if count == 0 || team.isDone(part, count) { return }
            var mine = take(of: worker, count, body)
            team.publish(part, mine, worker)
            var looked = isEager ? Team.patience : 0
            while !team.isDone(part, count) {
                if looked == Team.patience {
                    let before = mine
                    for turn in 1..<max(team.workers, 1) { mine += take(of: (worker + turn) % team.workers, count, body) }
                    isEager = mine > before
                    if isEager { team.publish(part, mine, worker) }
                }
                look(&looked)
            }
        }

        /// Takes what is left of a worker's run; how much that was.
        @inline(__always)
        private func take(of run: Int, _ count: Int, _ body: (Int, Int) -> Void) -> Int {
            let (start, end) = (count * run / team.workers, count * (run + 1) / team.workers)
            var mine = 0
            // Each piece is half of what is left: long streams first, short ones to end with.
            while let taken = team.take(part, run, of: UInt64.bitWidth - (end - start).leadingZeroBitCount) {
                let (from, to) = (end - (end - start) >> taken, end - (end - start) >> (taken + 1))
                body(from, to)
                mine += to - from
            }
            return mine
        }

        /// The next part: `body(index)` for each of [0, count), whoever comes taking the next: for pieces of uneven length, the longest first.
        @inline(__always)
        mutating func each(_ count: Int, _ body: (Int) -> Void) {
            part += 1
            if count == 0 || team.isDone(part, count) { return }
            var mine = 0
            while let index = team.take(part, team.workers, of: count) {
                body(index)
                mine += 1
            }
            team.publish(part, mine, worker)
            var looked = 0
            while !team.isDone(part, count) { look(&looked) }
        }

        @inline(__always)
        private mutating func look(_ looked: inout Int) {
            waiting.wait()
            looked += 1
            if looked > Team.spins { sched_yield() }
        }
    }

    /// How many pieces of a run were taken before this one; nil where none is left, or the part is long over.
    @inline(__always)
    fileprivate func take(_ part: UInt64, _ run: Int, of count: Int) -> Int? {
        let word = taken + run * Self.line
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
    fileprivate func publish(_ part: UInt64, _ count: Int, _ worker: Int) {
        if count > 0 { done[worker * Self.line].store(part << 32 | UInt64(count), ordering: .releasing) }
    }

    /// Whether all of a part is done: somebody is past it, or what the workers did of it is all.
    @inline(__always)
    fileprivate func isDone(_ part: UInt64, _ count: Int) -> Bool {
        var sum = 0
        for worker in 0..<workers {
            let now = done[worker * Self.line].load(ordering: .acquiring)
            if now >> 32 > part { return true }
            if now >> 32 == part { sum += Int(now & 0xFFFF_FFFF) }
        }
        return sum == count
    }
}
