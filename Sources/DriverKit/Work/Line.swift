import Glibc
import Synchronization

/// The state of a queue, which its thread owns together with the queue.
final class Line: @unchecked Sendable {
    private struct Item {
        var sync: Sync
        var isBrief: Bool
        var queued = Clock.now()
        var work: SubmissionQueue.Work

        /// Who waits for it now has come as soon as it was queued.
        var isFresh: Bool { Clock.now() < queued + Line.grace }
    }

    /// How long the thread polls for work after some: as long as a host takes to sample a token and submit the next.
    private static let patience: UInt64 = 300_000

    private let depth: Int
    private let condition = Condition()
    private var items: [Item] = []
    private var head = 0
    private var running: Item?
    /// Who runs it: the queue's thread or one that waits.
    private var performer: pthread_t?
    /// Somebody waited for brief work as soon as it was queued, and will again: it is left to them, and the queue's thread is not woken for it.
    private var isHelped = false
    /// The running piece has ended and is signalling: it takes no room any more, but the queue is not idle.
    private var ending = false
    private var refusing = false
    private var stopping = false
    private var thread: pthread_t?
    private let arrivals = Atomic<UInt64>(0)
    /// Pieces of work that were begun.
    private var taken: UInt64 = 0
    /// Who waits for work within this after it was queued may as well run it; who comes later would have it begun by then.
    private static let grace: UInt64 = 30_000
    /// How often the queue's thread looks whether anybody runs what is left to them.
    private static let watch: UInt64 = 5_000_000
    let cancelled = Atomic<Bool>(false)

    init(depth: Int) { self.depth = depth }

    private var held: Int { items.count - head + (running == nil ? 0 : 1) }
    private var room: Int { depth - held + (ending ? 1 : 0) }
    var count: Int { condition.locked { depth - room } }
    /// Whether the calling thread runs the queue's work now.
    var isPerformer: Bool { condition.locked { isMe(performer) } }
    private func isMe(_ thread: pthread_t?) -> Bool { thread.map { pthread_equal($0, pthread_self()) != 0 } ?? false }

    func add(_ sync: Sync, isBrief: Bool, _ work: @escaping SubmissionQueue.Work) throws(DriverFailure) {
        try condition.locked { () throws(DriverFailure) in
            guard !refusing else { throw DriverFailure(.failedPrecondition, "the queue takes no work: the device is quiesced; open it again") }
            guard room > 0 else {
                takeOver()
                throw DriverFailure(.resourceExhausted, "the queue holds \(depth - room) pieces of work of at most \(depth); wait for one to end and submit again")
            }
            if thread == nil { try start() }
            var isLeft = isHelped && isBrief && running == nil && items.count == head
            if isBrief { for point in sync.signals where point.timeline.isReached(by: self) { isLeft = false } }
            items.append(Item(sync: sync, isBrief: isBrief, work: work))
            arrivals.add(1, ordering: .releasing)
            if !isLeft { takeOver() }
        }
    }

    /// Somebody looks for the end of brief work and does not run it: it is left to nobody any more.
    func rouse() { condition.locked { if isHelped, running == nil, items.count > head { takeOver() } } }

    /// Inside the lock: what is held is the queue's thread's to run.
    private func takeOver() {
        isHelped = false
        condition.wakeAll()
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
        while let item = next() { perform(item) }
    }

    private func next() -> Item? {
        let seen = arrivals.load(ordering: .acquiring)
        if condition.locked({ items.count == head && !stopping && !isHelped }) {
            _ = Condition.spin(nanoseconds: Self.patience) { arrivals.load(ordering: .acquiring) != seen }
        }
        return condition.locked { turn() }
    }

    /// Inside the lock, for the queue's thread: what it runs next, once there is something for it; nil at the end.
    private func turn() -> Item? {
        while true {
            if running == nil {
                if items.count == head, stopping { return nil }
                if items.count > head, !isHelped { return take() }
            }
            let before = taken
            let isWoken = condition.wait(until: isHelped ? Condition.deadline(Self.watch) : .max)
            // In all this time nobody has run a piece of work.
            if !isWoken, running == nil, taken == before { isHelped = false }
        }
    }

    /// Inside the lock, where nothing runs: the oldest piece of work, for the calling thread to perform.
    private func take() -> Item? {
        guard items.count > head else { return nil }
        let item = items[head]
        head += 1
        if head == items.count { items.removeAll(keepingCapacity: true); head = 0 }
        running = item
        performer = pthread_self()
        taken += 1
        return item
    }

    /// Runs brief work that is due on the calling thread, until `isSettled`, what it waits for, is true, or the queue's turn is another's.
    /// Callbacks to the host are left to another thread meanwhile.
    func help(until isSettled: () -> Bool) {
        while !isSettled(), let item = condition.locked({ claim() }) { Callbacks.deferred { perform(item) } }
    }

    private func claim() -> Item? {
        guard let due = (ending ? nil : running) ?? (items.count > head ? items[head] : nil) else { return nil }
        isHelped = due.isBrief && due.isFresh && !refusing
        guard running == nil, !stopping else { return nil }
        guard due.isBrief, due.sync.waits.allSatisfy({ $0.timeline.value >= $0.value }) else {
            takeOver()
            return nil
        }
        return take()
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
        condition.locked {
            running = nil
            performer = nil
            ending = false
            if items.count > head || refusing || stopping { takeOver() }
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

    func refuse() {
        condition.locked {
            refusing = true
            takeOver()
        }
    }

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
            while running != nil, !isMe(performer), !isMe(self.thread) { condition.wait() }
            defer { self.thread = nil }
            return self.thread
        }
        guard let thread else { return }
        if isMe(thread) || isPerformer { pthread_detach(thread) } else { pthread_join(thread, nil) }
    }
}
