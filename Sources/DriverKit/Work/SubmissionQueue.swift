import Glibc
import Synchronization

/// A queue of a device: one thread that runs work in order, each piece after the points it waits for.
/// Threads: `enqueue` from any. The thread starts with the first work and ends with `quiesce` or with the queue.
public final class SubmissionQueue: Sendable {
    /// Runs on the queue's thread and says when it began and ended.
    public typealias Work = @Sendable () throws(DriverFailure) -> Times

    private let line: Line

    /// `depth`: pieces of work held at once, the running one included; at least 1.
    public init(depth: Int) { line = Line(depth: max(1, depth)) }

    /// Queues the work; never blocks. Waits that fail fail the work with ABORTED; a failure of the work fails what it signals.
    /// Errors: RESOURCE_EXHAUSTED when the queue is full, FAILED_PRECONDITION after `quiesce`.
    public func enqueue(waits: [Point], work: @escaping Work, signals: [Point]) throws(DriverFailure) {
        try line.add(Sync(waits: waits, signals: signals), work)
    }

    /// Queues the work under `sync`, or with an immediate one runs it in turn and blocks until it has ended, throwing its failure.
    public func submit(_ sync: Sync, work: @escaping Work) throws(DriverFailure) {
        guard sync.isImmediate else { return try line.add(sync, work) }
        if line.isOwnThread { _ = try work(); return }
        let done = Timeline()
        try line.add(Sync(signals: [Point(done, 1)]), work)
        try done.wait(1)
    }

    /// Pieces of work held now.
    public var count: Int { line.count }

    /// True once `quiesce` has run out of patience; long work looks at it now and then and throws CANCELLED.
    public var isCancelled: Bool { line.cancelled.load(ordering: .relaxed) }

    /// Refuses new work and waits up to `timeout` nanoseconds for what is held; then fails the rest with CANCELLED, waits for the running
    /// piece to return (its memory may be in use until then), and throws DEADLINE_EXCEEDED. Nothing runs after it returns.
    public func quiesce(timeout: UInt64) throws(DriverFailure) { try Self.quiesce([self], timeout: timeout) }

    /// Quiesces several queues under one deadline.
    public static func quiesce(_ queues: [SubmissionQueue], timeout: UInt64) throws(DriverFailure) {
        let deadline = Condition.deadline(timeout)
        for queue in queues { queue.line.refuse() }
        var left = 0
        for queue in queues where !queue.line.drain(until: deadline) { left += queue.line.cancel() }
        for queue in queues { queue.line.stop() }
        if left > 0 {
            throw DriverFailure(.deadlineExceeded, "\(left) pieces of work had not ended after \(timeout) ns and were cancelled; quiesce with more time")
        }
    }

    deinit {
        line.refuse()
        _ = line.cancel()
        line.stop()
    }
}

/// The state of a queue, which its thread owns together with the queue.
private final class Line: @unchecked Sendable {
    private struct Item {
        var sync: Sync
        var work: SubmissionQueue.Work
    }

    /// How long the thread polls for work after some: as long as a host takes to sample a token and submit the next.
    private static let patience: UInt64 = 300_000

    private let depth: Int
    private let condition = Condition()
    private var items: [Item] = []
    private var head = 0
    private var running: Item?
    /// The running piece has ended and is signalling: it takes no room any more, but the queue is not idle.
    private var ending = false
    private var refusing = false
    private var stopping = false
    private var thread: pthread_t?
    private let arrivals = Atomic<UInt64>(0)
    let cancelled = Atomic<Bool>(false)

    init(depth: Int) { self.depth = depth }

    private var held: Int { items.count - head + (running == nil ? 0 : 1) }
    private var taken: Int { held - (ending ? 1 : 0) }
    var count: Int { condition.locked { taken } }
    var isOwnThread: Bool { condition.locked { thread.map { pthread_equal($0, pthread_self()) != 0 } ?? false } }

    func add(_ sync: Sync, _ work: @escaping SubmissionQueue.Work) throws(DriverFailure) {
        try condition.locked { () throws(DriverFailure) in
            guard !refusing else { throw DriverFailure(.failedPrecondition, "the queue takes no work: the device is quiesced; open it again") }
            guard taken < depth else {
                throw DriverFailure(.resourceExhausted, "the queue holds \(taken) pieces of work of at most \(depth); wait for one to end and submit again")
            }
            if thread == nil { try start() }
            items.append(Item(sync: sync, work: work))
            arrivals.add(1, ordering: .releasing)
            condition.wakeAll()
        }
    }

    private func start() throws(DriverFailure) {
        let box = Unmanaged.passRetained(self)
        var made = pthread_t()
        let result = pthread_create(&made, nil, { argument in
            guard let argument else { return nil }
            let line = Unmanaged<Line>.fromOpaque(argument).takeRetainedValue()
            line.loop()
            return nil
        }, box.toOpaque())
        guard result == 0 else {
            box.release()
            throw DriverFailure(.resourceExhausted, "no thread for the queue: error \(result); raise the limit of threads")
        }
        thread = made
    }

    private func loop() {
        while let item = next() {
            perform(item)
            condition.locked {
                running = nil
                ending = false
                condition.wakeAll()
            }
        }
    }

    private func next() -> Item? {
        let seen = arrivals.load(ordering: .acquiring)
        if condition.locked({ items.count == head && !stopping }) {
            _ = Condition.spin(nanoseconds: Self.patience) { arrivals.load(ordering: .acquiring) != seen }
        }
        return condition.locked {
            while items.count == head {
                if stopping { return nil }
                condition.wait()
            }
            let item = items[head]
            head += 1
            if head == items.count { items.removeAll(keepingCapacity: true); head = 0 }
            running = item
            return item
        }
    }

    private func perform(_ item: Item) {
        do throws(DriverFailure) {
            try awaitAll(item.sync.waits)
            let times = try item.work()
            condition.locked { ending = true }
            item.sync.succeed(times)
        } catch {
            condition.locked { ending = true }
            item.sync.fail(error)
        }
    }

    /// Until every point is reached. A failed one is ABORTED with its words; CANCELLED when the queue is.
    private func awaitAll(_ points: [Point]) throws(DriverFailure) {
        for point in points {
            let settled = { point.timeline.value >= point.value || point.timeline.failure != nil || self.cancelled.load(ordering: .acquiring) }
            if !Condition.spin(settled) { sleep(until: point, settled) }
            if let failure = point.timeline.failure {
                throw DriverFailure(.aborted, "what the work waits for has failed: \(failure.message)", vendorCode: failure.vendorCode)
            }
            if cancelled.load(ordering: .acquiring) { throw Self.cancellation }
        }
        if cancelled.load(ordering: .acquiring) { throw Self.cancellation }
    }

    private func sleep(until point: Point, _ settled: () -> Bool) {
        point.timeline.notify(point.value) { [weak self] _ in
            guard let self else { return }
            condition.locked { condition.wakeAll() }
        }
        condition.locked {
            while !settled() { condition.wait() }
        }
    }

    static let cancellation = DriverFailure(.cancelled, "the device was quiesced before the work ended")

    func refuse() { condition.locked { refusing = true } }

    func drain(until deadline: UInt64) -> Bool {
        condition.locked {
            while held > 0 {
                if !condition.wait(until: deadline), Clock.now() >= deadline { return held == 0 }
            }
            return true
        }
    }

    /// Fails what is held; how many pieces that were.
    func cancel() -> Int {
        let (dropped, current) = condition.locked { () -> ([Item], Item?) in
            let dropped = Array(items[head...])
            items.removeAll()
            head = 0
            cancelled.store(true, ordering: .releasing)
            condition.wakeAll()
            return (dropped, running)
        }
        current?.sync.fail(Self.cancellation)
        for item in dropped { item.sync.fail(Self.cancellation) }
        return dropped.count + (current == nil ? 0 : 1)
    }

    /// Ends the thread once the running piece has returned.
    func stop() {
        let thread = condition.locked { () -> pthread_t? in
            stopping = true
            condition.wakeAll()
            defer { self.thread = nil }
            return self.thread
        }
        guard let thread else { return }
        if pthread_equal(thread, pthread_self()) != 0 { pthread_detach(thread) } else { pthread_join(thread, nil) }
    }
}
