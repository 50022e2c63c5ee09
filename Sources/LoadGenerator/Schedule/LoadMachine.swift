/// When which request goes out. A value: events in, actions out; it holds no clock and no connection. Times are nanoseconds from the start.
///
/// An open load is never slowed by the server: a request's intended time is when it was to go out, however late it did, and its latency counts
/// from there.
public struct LoadMachine: Sendable {
    public struct Bounds: Sendable, Hashable {
        /// Requests at most, and nanoseconds after which no more go out; those on their way are waited for.
        public var requests: Int
        public var duration: UInt64?
        /// Requests on their way at once, at most; an open load's requests beyond are counted as failed and not sent.
        public var inFlight: Int

        public init(requests: Int, duration: UInt64? = nil, inFlight: Int = 512) {
            (self.requests, self.duration, self.inFlight) = (requests, duration, inFlight)
        }
    }

    public enum Event: Sendable {
        case started
        /// The time of a `wake` has come.
        case woke
        /// A request has been answered, or has failed.
        case ended
    }

    public enum Action: Sendable, Hashable {
        case send(index: Int, intended: UInt64)
        /// Too many are on their way.
        case leaveOut(index: Int, intended: UInt64)
        case wake(at: UInt64)
        /// Nothing is on its way and nothing more will be; once.
        case finish
    }

    public let bounds: Bounds
    private let clients: Int?
    private var arrivals: Arrivals?
    private var due: UInt64?
    private var index = 0
    private(set) var inFlight = 0
    private(set) var isFinished = false

    public init(_ pattern: LoadPattern, bounds: Bounds, seed: UInt64) {
        self.bounds = bounds
        if case .closed(let clients) = pattern { self.clients = clients } else { clients = nil }
        arrivals = pattern.arrivals(seed: seed)
        due = arrivals?.next()
    }

    public mutating func step(_ event: Event, now: UInt64) -> [Action] {
        if case .ended = event { inFlight -= 1 }
        var actions = clients.map { closed($0, now) } ?? open(event, now)
        if inFlight == 0, !hasMore(at: now), !isFinished {
            isFinished = true
            actions.append(.finish)
        }
        return actions
    }

    private func isWithin(_ time: UInt64) -> Bool { bounds.duration.map { time < $0 } ?? true }

    private func hasMore(at now: UInt64) -> Bool {
        guard index < bounds.requests else { return false }
        return clients == nil ? due.map(isWithin) ?? false : isWithin(now)
    }

    private mutating func closed(_ clients: Int, _ now: UInt64) -> [Action] {
        var actions: [Action] = []
        while inFlight < clients, hasMore(at: now) { actions.append(send(now)) }
        return actions
    }

    private mutating func open(_ event: Event, _ now: UInt64) -> [Action] {
        if case .ended = event { return [] }
        var actions: [Action] = []
        while let time = due, time <= now, hasMore(at: now) {
            actions.append(send(time))
            due = arrivals?.next()
        }
        if hasMore(at: now), let time = due { actions.append(.wake(at: time)) }
        return actions
    }

    private mutating func send(_ intended: UInt64) -> Action {
        defer { index += 1 }
        guard inFlight < bounds.inFlight else { return .leaveOut(index: index, intended: intended) }
        inFlight += 1
        return .send(index: index, intended: intended)
    }
}
