import Glibc
import Synchronization

/// A queue of a device: runs work in order, each piece after the points it waits for, on a thread of its own; brief work on the thread
/// that waits for it, if that comes first.
/// Threads: `enqueue` from any. The thread starts with the first work and ends with `quiesce` or with the queue.
public final class SubmissionQueue: Sendable {
    /// Says when it began and ended.
    public typealias Work = @Sendable () throws(DriverFailure) -> Times

    private let line: Line

    /// `depth`: pieces of work held at once, the running one included; at least 1.
    public init(depth: Int) { line = Line(depth: max(1, depth)) }

    /// Queues the work; never blocks. Waits that fail fail the work with ABORTED; a failure of the work fails what it signals.
    /// Errors: RESOURCE_EXHAUSTED when the queue is full, FAILED_PRECONDITION after `quiesce`.
    public func enqueue(waits: [Point], work: @escaping Work, signals: [Point]) throws(DriverFailure) {
        try line.add(Sync(waits: waits, signals: signals), isBrief: false, work)
    }

    /// Queues the work under `sync`, or with an immediate one runs it in turn and blocks until it has ended, throwing its failure.
    /// - Parameter isBrief: it takes far less than a second, so that who waits a second or more for it may as well run it: that spares
    ///   waking two threads.
    public func submit(_ sync: Sync, isBrief: Bool = false, work: @escaping Work) throws(DriverFailure) {
        guard sync.isImmediate else { return try line.add(sync, isBrief: isBrief, work) }
        if line.isPerformer { _ = try work(); return }
        let done = Timeline()
        try line.add(Sync(signals: [Point(done, 1)]), isBrief: isBrief, work)
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
