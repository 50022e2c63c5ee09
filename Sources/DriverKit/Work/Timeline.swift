import CDriver
import Synchronization

/// A counter that only rises. Work signals it with the times it took; anyone waits on it, asks it, or fails it for good.
/// Threads: any. Nothing blocks but `wait`, and no callback runs under the lock.
public final class Timeline: Sendable {
    /// A value having been reached.
    public struct Event: Sendable, Hashable {
        /// The value asked for when it is reached, else the highest reached.
        public var value: UInt64
        /// Of the work that signalled it; zeros on the wall clock when unknown: the first value, or more than 4,096 signals ago.
        public var times: Times
    }

    /// What a callback is given: an event, or why the timeline failed with the highest value reached.
    public typealias Observer = @Sendable (Result<Event, DriverFailure>) -> Void

    /// Signals whose times are kept.
    public static let kept = 4_096

    private struct State {
        var value: UInt64
        var failure: DriverFailure?
        var history: [Event] = []
        /// Where the oldest event lies once `history` is full.
        var oldest = 0
        var observers: [(value: UInt64, run: Observer)] = []
        var sleepers = 0
        /// The queue whose brief work signals it.
        var line: Line?

        mutating func record(_ event: Event) {
            if history.count < Timeline.kept {
                history.append(event)
            } else {
                history[oldest] = event
                oldest = (oldest + 1) % Timeline.kept
            }
        }

        /// The first signal that reached `value`.
        func times(of value: UInt64) -> Times {
            func at(_ index: Int) -> Event { history[(oldest + index) % history.count] }
            var low = 0
            var high = history.count
            while low < high {
                let middle = (low + high) / 2
                if at(middle).value < value { low = middle + 1 } else { high = middle }
            }
            let lost = low == 0 && history.count == Timeline.kept && at(0).value != value
            return low < history.count && !lost ? at(low).times : Times(.wall, start: 0, end: 0)
        }

        mutating func takeObservers(upTo value: UInt64) -> [Observer] {
            guard !observers.isEmpty else { return [] }
            let due = observers.filter { $0.value <= value }.map(\.run)
            observers.removeAll { $0.value <= value }
            return due
        }
    }

    private let condition = Condition()
    private nonisolated(unsafe) var state: State
    /// The value, for readers without the lock; `settled` also rises when the timeline fails.
    private let reached: Atomic<UInt64>
    private let failed = Atomic<Bool>(false)

    public init(value: UInt64 = 0) {
        state = State(value: value)
        reached = Atomic(value)
    }

    /// The highest value reached.
    public var value: UInt64 { reached.load(ordering: .acquiring) }

    /// Why the timeline failed, if it did.
    public var failure: DriverFailure? {
        failed.load(ordering: .acquiring) ? condition.locked { state.failure } : nil
    }

    /// The event of `value` if it is reached, else of the highest value reached. Throws the timeline's failure.
    public func query(_ value: UInt64) throws(DriverFailure) -> Event {
        let (found, line) = try condition.locked { () throws(DriverFailure) in (try event(value), state.value < value ? state.line : nil) }
        line?.rouse()
        return found
    }

    private func event(_ value: UInt64) throws(DriverFailure) -> Event {
        if let failure = state.failure { throw failure }
        let value = min(value, state.value)
        return Event(value: value, times: state.times(of: value))
    }

    private func isSettled(_ value: UInt64) -> Bool {
        reached.load(ordering: .acquiring) >= value || failed.load(ordering: .acquiring)
    }

    /// Brief work of the queue will signal it. True where somebody sleeps until then.
    func isReached(by line: Line) -> Bool {
        condition.locked {
            if state.line !== line { state.line = line }
            return state.sleepers > 0
        }
    }

    /// From so many nanoseconds a wait may run what it waits for.
    private static let longWait: UInt64 = 1_000_000_000

    /// Blocks until `value` is reached, up to `timeout` nanoseconds (.max: for ever). Throws the timeline's failure, or DEADLINE_EXCEEDED.
    @discardableResult
    public func wait(_ value: UInt64, timeout: UInt64 = .max) throws(DriverFailure) -> Event {
        let deadline = Condition.deadline(timeout)
        if !isSettled(value), let line = condition.locked({ state.line }) {
            if timeout >= Self.longWait { line.help { isSettled(value) } } else { line.rouse() }
        }
        if timeout > 0 { _ = Condition.spin { isSettled(value) } }
        return try condition.locked { () throws(DriverFailure) in
            state.sleepers += 1
            defer { state.sleepers -= 1 }
            while state.failure == nil, state.value < value {
                guard timeout > 0, condition.wait(until: deadline) || Clock.now() < deadline else {
                    throw DriverFailure(
                        .deadlineExceeded, "value \(value) was not reached in \(timeout) ns: the timeline is at \(state.value); wait longer")
                }
            }
            return try event(value)
        }
    }

    /// Reaches `value`, from the host. INVALID_ARGUMENT when it is not above the present value; the failure when the timeline failed.
    public func signal(_ value: UInt64) throws(DriverFailure) {
        let now = Clock.now()
        try signal(value, Times(.wall, start: now, end: now))
    }

    /// Reaches `value` with the times of the work that reached it.
    public func signal(_ value: UInt64, _ times: Times) throws(DriverFailure) {
        let event = Event(value: value, times: times)
        let due = try condition.locked { () throws(DriverFailure) -> [Observer] in
            if let failure = state.failure { throw failure }
            guard value > state.value else {
                throw .invalid("cannot signal \(value): the timeline is at \(state.value) and only rises; signal a higher value")
            }
            state.value = value
            state.record(event)
            reached.store(value, ordering: .releasing)
            if state.sleepers > 0 { condition.wakeAll() }
            return state.takeObservers(upTo: value)
        }
        for run in due { run(.success(event)) }
    }

    /// Fails the timeline for good. The first failure stays.
    public func fail(_ reason: DriverFailure) {
        let due = condition.locked { () -> [Observer] in
            guard state.failure == nil else { return [] }
            state.failure = reason
            failed.store(true, ordering: .releasing)
            if state.sleepers > 0 { condition.wakeAll() }
            return state.takeObservers(upTo: .max)
        }
        for run in due { run(.failure(reason)) }
    }

    /// Calls `observer` once, when `value` is reached or the timeline fails: on the thread that does so, or at once on this one.
    public func notify(_ value: UInt64, _ observer: @escaping Observer) {
        let (now, line) = condition.locked { () -> (Result<Event, DriverFailure>?, Line?) in
            if let failure = state.failure { return (.failure(failure), nil) }
            if state.value >= value { return (.success(Event(value: value, times: state.times(of: value))), nil) }
            state.observers.append((value, observer))
            return (nil, state.line)
        }
        if let now { observer(now) }
        line?.rouse()
    }

    /// Observers that still wait.
    var observerCount: Int { condition.locked { state.observers.count } }
}

/// A timeline reaching a value.
public struct Point: Sendable {
    public var timeline: Timeline
    public var value: UInt64
    public init(_ timeline: Timeline, _ value: UInt64) {
        self.timeline = timeline
        self.value = value
    }
}
