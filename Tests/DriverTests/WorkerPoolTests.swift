import Synchronization
import Testing

@testable import Driver

@Suite("Worker pool")
struct WorkerPoolTests {
    @Test("every index runs exactly once, whatever the counts, grains and threads", arguments: [1, 2, 3, 4, 8, 13])
    func exactlyOnce(threads: Int) {
        let pool = WorkerPool(threads: threads)
        #expect(pool.count == threads)
        var random = Seeded(state: UInt64(threads))
        for _ in 0..<200 {
            let count = Int.random(in: 0...(Bool.random(using: &random) ? 20 : 3_000), using: &random)
            let tally = Tally(count: count, workers: threads)
            tally.run(on: pool, grain: UInt64.random(in: 0...64, using: &random))
            #expect(tally.isExact, "\(count) indices on \(threads) threads")
        }
    }

    @Test("no piece but the last is smaller than the grain, and none begins between two grains", arguments: [1, 2, 3, 8])
    func grains(threads: Int) {
        let pool = WorkerPool(threads: threads)
        for (count, grain) in [(10, 8), (17, 8), (100, 7), (1_000, 64), (64, 64), (5, 1)] as [(UInt64, UInt64)] {
            let wrong = Sum()
            let job = GrainJob(count: count, grain: grain, wrong: wrong)
            pool.run(count: count, grain: grain, body: { user, begin, end, _ in
                guard let user else { return }
                let job = Unmanaged<GrainJob>.fromOpaque(user).takeUnretainedValue()
                if end - begin < job.grain && end != job.count || begin % job.grain != 0 { job.wrong.value.wrappingAdd(1, ordering: .relaxed) }
            }, user: Unmanaged.passUnretained(job).toOpaque())
            #expect(wrong.value.load(ordering: .relaxed) == 0, "\(count) by \(grain)")
        }
    }

    @Test("a nested call runs whole, within the outer one")
    func nested() {
        let pool = WorkerPool(threads: 4)
        let inner = (0..<64).map { _ in Tally(count: 100, workers: 4) }
        let outer = Tally(count: 64, workers: 4) { inner[$0].run(on: pool, grain: 1) }
        outer.run(on: pool, grain: 1)
        #expect(outer.isExact && inner.allSatisfy(\.isExact))
    }

    @Test("calls from many threads at once each run whole")
    func concurrent() async {
        let pool = WorkerPool(threads: 3)
        let exact = await withTaskGroup(of: Bool.self) { group in
            for index in 0..<8 {
                group.addTask {
                    (0..<100).allSatisfy { round in
                        let tally = Tally(count: 50 + index * 13 + round, workers: 3)
                        tally.run(on: pool, grain: 1)
                        return tally.isExact
                    }
                }
            }
            return await group.reduce(true) { $0 && $1 }
        }
        #expect(exact)
    }

    @Test("of two calls at once each runs once, and what both give comes back", arguments: [1, 2, 4])
    func both(threads: Int) {
        let pool = WorkerPool(threads: threads), (first, second) = (Sum(), Sum())
        for turn in 0..<100 {
            let found = pool.both(
                {
                    first.value.wrappingAdd(1, ordering: .relaxed)
                    return turn
                },
                {
                    second.value.wrappingAdd(1, ordering: .relaxed)
                    return "\(turn)"
                })
            #expect(found == (turn, "\(turn)"))
        }
        #expect(first.value.load(ordering: .relaxed) == 100 && second.value.load(ordering: .relaxed) == 100)
    }

    @Test("a job of almost 2^64 indices overflows nothing", arguments: [0, 1, 1 << 63, .max] as [UInt64])
    func huge(grain: UInt64) {
        let pool = WorkerPool(threads: 3)
        let sum = Sum()
        pool.run(count: .max, grain: grain, body: { user, begin, end, _ in
            guard let user else { return }
            Unmanaged<Sum>.fromOpaque(user).takeUnretainedValue().value.wrappingAdd(end - begin, ordering: .relaxed)
        }, user: Unmanaged.passUnretained(sum).toOpaque())
        #expect(sum.value.load(ordering: .relaxed) == .max)
    }

    @Test("a pool has at least one thread, whatever was asked for", arguments: [Int.min, -1, 0])
    func atLeastOne(threads: Int) {
        #expect(WorkerPool(threads: threads).count == 1)
    }
}

/// How many indices ran.
private final class Sum: Sendable {
    let value = Atomic<UInt64>(0)
}

/// Counts how often each index of a job ran.
private final class Tally: Sendable {
    private let counts: [Cell]
    private let workers: Int
    private let wrong = Atomic<Bool>(false)
    private let each: @Sendable (Int) -> Void

    private final class Cell: Sendable {
        let value = Atomic<Int>(0)
    }

    init(count: Int, workers: Int, each: @escaping @Sendable (Int) -> Void = { _ in }) {
        counts = (0..<count).map { _ in Cell() }
        self.workers = workers
        self.each = each
    }

    func run(on pool: WorkerPool, grain: UInt64) {
        pool.run(count: UInt64(counts.count), grain: grain, body: { user, begin, end, worker in
            guard let user else { return }
            Unmanaged<Tally>.fromOpaque(user).takeUnretainedValue().mark(begin, end, worker)
        }, user: Unmanaged.passUnretained(self).toOpaque())
    }

    private func mark(_ begin: UInt64, _ end: UInt64, _ worker: UInt32) {
        guard begin < end, end <= UInt64(counts.count), worker < UInt32(workers) else { return wrong.store(true, ordering: .relaxed) }
        for index in Int(begin)..<Int(end) {
            counts[index].value.add(1, ordering: .relaxed)
            each(index)
        }
    }

    var isExact: Bool {
        !wrong.load(ordering: .relaxed) && counts.allSatisfy { $0.value.load(ordering: .relaxed) == 1 }
    }
}

private final class GrainJob: Sendable {
    let count, grain: UInt64
    let wrong: Sum
    init(count: UInt64, grain: UInt64, wrong: Sum) {
        self.count = count
        self.grain = grain
        self.wrong = wrong
    }
}
