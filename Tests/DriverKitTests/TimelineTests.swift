import DriverKit
import Glibc
import Synchronization
import Testing

/// Runs bodies on threads of their own and waits for all.
func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    final class Start: Sendable {
        let index: Int
        let body: @Sendable (Int) -> Void
        init(_ index: Int, _ body: @escaping @Sendable (Int) -> Void) {
            self.index = index
            self.body = body
        }
    }
    var threads: [pthread_t] = []
    for index in 0..<count {
        var thread = pthread_t()
        let start = Unmanaged.passRetained(Start(index, body)).toOpaque()
        pthread_create(&thread, nil, { raw in
            let start = Unmanaged<Start>.fromOpaque(raw!).takeRetainedValue()
            start.body(start.index)
            return nil
        }, start)
        threads.append(thread)
    }
    for thread in threads { pthread_join(thread, nil) }
}

@Suite("Timelines and queues")
struct TimelineTests {
    @Test("threads that wait all see the value, and callbacks run once each")
    func threads() {
        let timeline = Timeline()
        let called = Atomic<Int>(0)
        for value in 1...100 { timeline.notify(UInt64(value)) { _ in called.add(1, ordering: .relaxed) } }
        onThreads(4) { index in
            if index == 0 {
                for value in 1...100 { try! timeline.signal(UInt64(value)) }
            } else {
                for value in stride(from: index, through: 100, by: 7) { try! timeline.wait(UInt64(value)) }
            }
        }
        let calls = called.load(ordering: .relaxed)
        #expect(timeline.value == 100 && calls == 100)
    }

    @Test("times of the last 4,096 signals are kept, older ones are zeros")
    func history() throws {
        let timeline = Timeline()
        for value in 1...5_000 { try timeline.signal(UInt64(value * 2), Times(.modelled, start: UInt64(value), end: UInt64(value + 1))) }
        #expect(try timeline.query(10_000).times == Times(.modelled, start: 5_000, end: 5_001))
        #expect(try timeline.query(9_999).times.start == 5_000)
        #expect(try timeline.query(2 * 905).times.start == 905)
        #expect(try timeline.query(100).times.start == 0)
        #expect(try timeline.query(99_999).value == 10_000)
    }

    @Test("a timeline only rises, and a wait that runs out says so")
    func rises() throws {
        let timeline = Timeline(value: 5)
        #expect(throws: DriverFailure.self) { try timeline.signal(5) }
        let failure = #expect(throws: DriverFailure.self) { try timeline.wait(6, timeout: 1_000_000) }
        #expect(failure?.code == .deadlineExceeded)
        try timeline.wait(5, timeout: 0)
    }

    @Test("a failed timeline gives its reason to waits and callbacks, before and after")
    func poison() throws {
        let timeline = Timeline()
        let seen = Mutex<[String]>([])
        let note: Timeline.Observer = { result in if case .failure(let failure) = result { seen.withLock { $0.append(failure.message) } } }
        timeline.notify(3, note)
        timeline.fail(DriverFailure(.unavailable, "the link is gone"))
        timeline.fail(DriverFailure(.internal, "later"))
        timeline.notify(1, note)
        #expect(seen.withLock { $0 } == ["the link is gone", "the link is gone"])
        let failure = #expect(throws: DriverFailure.self) { try timeline.wait(1) }
        #expect(failure?.code == .unavailable)
    }

    @Test("a queue holds no more than its depth and runs in order")
    func bound() throws {
        let queue = SubmissionQueue(depth: 3)
        let gate = Timeline()
        let done = Timeline()
        let order = Mutex<[Int]>([])
        for index in 0..<3 {
            try queue.enqueue(waits: [Point(gate, 1)], work: { () throws(DriverFailure) in
                order.withLock { $0.append(index) }
                return Times(.modelled, start: 0, end: 1)
            }, signals: [Point(done, UInt64(index + 1))])
        }
        let full = #expect(throws: DriverFailure.self) {
            try queue.enqueue(waits: [], work: { () throws(DriverFailure) in Times(.wall, start: 0, end: 0) }, signals: [])
        }
        #expect(full?.code == .resourceExhausted)
        try gate.signal(1)
        #expect(try done.wait(3).times.clock == .modelled)
        #expect(order.withLock { $0 } == [0, 1, 2])
    }

    @Test("failed work fails what it signals, and what waits for that is aborted")
    func chain() throws {
        let queue = SubmissionQueue(depth: 4)
        let (first, second) = (Timeline(), Timeline())
        try queue.enqueue(waits: [], work: { () throws(DriverFailure) in throw DriverFailure(.dataLoss, "bad bytes") }, signals: [Point(first, 1)])
        try queue.enqueue(waits: [Point(first, 1)], work: { () throws(DriverFailure) in .wall(since: 0) }, signals: [Point(second, 1)])
        let failure = #expect(throws: DriverFailure.self) { try second.wait(1) }
        #expect(failure?.code == .aborted && failure?.message.contains("bad bytes") == true)
        #expect(first.failure?.code == .dataLoss)
    }

    @Test("quiesce drains what can end, cancels what cannot, and refuses more")
    func quiesce() throws {
        let drained = SubmissionQueue(depth: 4)
        let done = Timeline()
        try drained.enqueue(waits: [], work: { () throws(DriverFailure) in usleep(20_000); return .wall(since: 0) }, signals: [Point(done, 1)])
        try drained.quiesce(timeout: 5_000_000_000)
        #expect(done.value == 1)
        let stuck = SubmissionQueue(depth: 4)
        let lost = Timeline()
        for value in 1...2 {
            try stuck.enqueue(waits: [Point(Timeline(), 1)], work: { () throws(DriverFailure) in .wall(since: 0) }, signals: [Point(lost, UInt64(value))])
        }
        let late = #expect(throws: DriverFailure.self) { try stuck.quiesce(timeout: 10_000_000) }
        #expect(late?.code == .deadlineExceeded && lost.failure?.code == .cancelled)
        let refused = #expect(throws: DriverFailure.self) { try stuck.enqueue(waits: [], work: { () throws(DriverFailure) in .wall(since: 0) }, signals: []) }
        #expect(refused?.code == .failedPrecondition)
    }

    @Test("immediate work blocks until it has ended and throws its failure")
    func immediate() throws {
        let queue = SubmissionQueue(depth: 1)
        let ran = Atomic<Bool>(false)
        try queue.submit(.immediate) { () throws(DriverFailure) in ran.store(true, ordering: .relaxed); return .wall(since: 0) }
        let did = ran.load(ordering: .relaxed)
        #expect(did)
        #expect(throws: DriverFailure(.internal, "no")) { try queue.submit(.immediate) { () throws(DriverFailure) in throw DriverFailure(.internal, "no") } }
    }
}
