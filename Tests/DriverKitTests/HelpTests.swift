@testable import DriverKit
import Glibc
import Synchronization
import Testing

/// Brief work, which whoever waits for it may run, and what must not run there.
@Suite("Waiting for brief work")
struct HelpTests {
    /// Submits pieces of work, each once the one before has been waited for, until one was run by the thread that waited, or 2,000. Gives how many were.
    private static func helped(_ queue: SubmissionQueue, isBrief: Bool, timeout: UInt64, _ done: Timeline) throws -> Int {
        let me = pthread_self()
        let count = Atomic<Int>(0)
        for value in done.value + 1...done.value + 2_000 where count.load(ordering: .relaxed) == 0 {
            try queue.submit(Sync(signals: [Point(done, value)]), isBrief: isBrief) { () throws(DriverFailure) in
                if pthread_equal(me, pthread_self()) != 0 { count.add(1, ordering: .relaxed) }
                usleep(50)
                return .wall(since: 0)
            }
            try done.wait(value, timeout: timeout)
        }
        return count.load(ordering: .relaxed)
    }

    @Test("who waits for brief work without a near deadline runs it; other work, and work that is waited for briefly, stays with the queue's thread")
    func who() throws {
        #expect(try Self.helped(SubmissionQueue(depth: 2), isBrief: true, timeout: .max, Timeline()) == 1)
        #expect(try Self.helped(SubmissionQueue(depth: 2), isBrief: false, timeout: .max, Timeline()) == 0)
        #expect(try Self.helped(SubmissionQueue(depth: 2), isBrief: true, timeout: 900_000_000, Timeline()) == 0)
    }

    /// How somebody looks for the end of work without running it.
    enum Look: CaseIterable { case asking, beingTold, waitingBriefly, waitingElsewhere, notAtAll, queueingMore, leaving }

    @Test("brief work that is left to who waits for it runs too when nobody does", arguments: Look.allCases)
    func nobodyWaits(_ look: Look) throws {
        let (queue, other, done) = (SubmissionQueue(depth: 2), SubmissionQueue(depth: 2), Timeline())
        #expect(try Self.helped(queue, isBrief: true, timeout: .max, done) == 1)
        let ran = Atomic<Bool>(false)
        let next = done.value + 1
        try queue.submit(Sync(signals: [Point(done, next)]), isBrief: true) { () throws(DriverFailure) in
            ran.store(true, ordering: .releasing)
            return .wall(since: 0)
        }
        switch look {
        case .asking: for _ in 0..<10_000 where try done.query(next).value < next { usleep(1_000) }
        case .beingTold: done.notify(next) { _ in }
        case .waitingBriefly: try done.wait(next, timeout: 900_000_000)
        case .waitingElsewhere: try other.enqueue(waits: [Point(done, next)], work: { () throws(DriverFailure) in .wall(since: 0) }, signals: [])
        case .notAtAll: break
        case .queueingMore: try queue.enqueue(waits: [], work: { () throws(DriverFailure) in .wall(since: 0) }, signals: [])
        case .leaving: try queue.quiesce(timeout: 10_000_000_000)
        }
        for _ in 0..<10_000 where !ran.load(ordering: .acquiring) { usleep(1_000) }
        let isRun = ran.load(ordering: .acquiring)
        #expect(isRun)
        try other.quiesce(timeout: 10_000_000_000)
    }

    @Test("who queues ahead of what they wait for is not kept waiting: the queue's thread goes on with what is queued")
    func ahead() throws {
        let (queue, done) = (SubmissionQueue(depth: 4), Timeline())
        #expect(try Self.helped(queue, isBrief: true, timeout: .max, done) == 1)
        let me = pthread_self()
        let first = done.value + 1
        let mine = Atomic<Int>(0)
        for value in first..<first + 2 {
            try queue.submit(Sync(signals: [Point(done, value)]), isBrief: true) { () throws(DriverFailure) in
                if pthread_equal(me, pthread_self()) != 0 { mine.add(1, ordering: .relaxed) }
                return .wall(since: 0)
            }
        }
        for _ in 0..<10_000 where done.value < first + 1 { usleep(1_000) }
        let (value, count) = (done.value, mine.load(ordering: .relaxed))
        #expect(value == first + 1 && count == 0)
    }

    @Test("from many threads every piece of work runs once, in its order, one at a time")
    func order() throws {
        let queue = SubmissionQueue(depth: 1_000)
        let running = Atomic<Int>(0)
        let wrong = Atomic<Int>(0)
        let ran = Mutex<[UInt64]>([])
        let turn = Mutex<UInt64>(0)
        let done = Timeline()
        onThreads(6) { thread in
            for _ in 0..<100 {
                let value = turn.withLock { next -> UInt64 in
                    next += 1
                    let value = next
                    try? queue.submit(Sync(signals: [Point(done, value)]), isBrief: value % 3 != 0) { () throws(DriverFailure) in
                        if running.add(1, ordering: .relaxed).newValue != 1 { wrong.add(1, ordering: .relaxed) }
                        ran.withLock { $0.append(value) }
                        running.subtract(1, ordering: .relaxed)
                        return .wall(since: 0)
                    }
                    return value
                }
                _ = try? done.wait(value)
            }
        }
        #expect(ran.withLock { $0 } == Array(1...600))
        let wrongs = wrong.load(ordering: .relaxed)
        #expect(wrongs == 0)
    }

    @Test("a callback never runs on a thread that waits, and the gate does not close before one that is due")
    func callbacks() throws {
        let queue = SubmissionQueue(depth: 2)
        let gate = CallbackGate()
        let done = Timeline()
        let me = pthread_self()
        let here = Atomic<Int>(0)
        let all = Atomic<Int>(0)
        let helped = Atomic<Int>(0)
        var asked = 0
        while asked < 200, helped.load(ordering: .relaxed) == 0 {
            // Without callbacks until work is left to this thread, then with one.
            #expect(try Self.helped(queue, isBrief: true, timeout: .max, done) == 1)
            asked += 1
            let value = done.value + 1
            done.notify(value) { _ in
                Callbacks.run(gate) {
                    if pthread_equal(me, pthread_self()) != 0 { here.add(1, ordering: .relaxed) }
                    usleep(1_000)
                    all.add(1, ordering: .relaxed)
                }
            }
            try queue.submit(Sync(signals: [Point(done, value)]), isBrief: true) { () throws(DriverFailure) in
                if pthread_equal(me, pthread_self()) != 0 { helped.add(1, ordering: .relaxed) }
                return .wall(since: 0)
            }
            try done.wait(value)
        }
        let count = helped.load(ordering: .relaxed)
        #expect(count == 1)
        try queue.quiesce(timeout: 1_000_000_000)
        gate.close()
        let (made, mine) = (all.load(ordering: .relaxed), here.load(ordering: .relaxed))
        #expect(made == asked && mine == 0)
    }

    @Test("quiesce waits for work that a waiting thread runs")
    func quiesce() throws {
        for _ in 0..<50 {
            let queue = SubmissionQueue(depth: 2)
            let done = Timeline()
            let begun = Atomic<Bool>(false)
            let ended = Atomic<Bool>(false)
            onThreads(2) { thread in
                guard thread == 0 else {
                    while queue.count == 0, done.value == 0 { sched_yield() }
                    _ = try? queue.quiesce(timeout: 0)
                    let (isBegun, isOver) = (begun.load(ordering: .acquiring), ended.load(ordering: .acquiring))
                    #expect(isBegun == isOver, "work goes on after quiesce")
                    return
                }
                try? queue.submit(Sync(signals: [Point(done, 1)]), isBrief: true) { () throws(DriverFailure) in
                    begun.store(true, ordering: .releasing)
                    usleep(2_000)
                    ended.store(true, ordering: .releasing)
                    return .wall(since: 0)
                }
                _ = try? done.wait(1)
            }
        }
    }
}
