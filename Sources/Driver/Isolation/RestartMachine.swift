/// When a child that ended may be started again. A value: it starts nothing and has no clock.
public struct RestartMachine: Sendable, Hashable {
    public enum Decision: Sendable, Hashable {
        /// Start it, no sooner than `at` (nanoseconds on the caller's clock).
        case start(at: UInt64)
        /// It has ended too often and stays down. `ends` within the window.
        case stayDown(ends: Int)
    }

    public let policy: RestartPolicy
    /// When it ended, within the window, oldest first.
    public private(set) var ends: [UInt64] = []
    public private(set) var isDown = false

    public init(_ policy: RestartPolicy) { self.policy = policy }

    /// The child ended at `now`, whatever ended it.
    public mutating func ended(now: UInt64) -> Decision {
        ends.removeAll { now &- $0 > policy.window }
        ends.append(now)
        isDown = isDown || ends.count > max(0, policy.budget)
        return decision
    }

    /// What the last end came to; nil while there was none.
    public var decision: Decision {
        guard !isDown else { return .stayDown(ends: ends.count) }
        guard let last = ends.last else { return .start(at: 0) }
        return .start(at: last &+ pause)
    }

    /// Doubles with each end in the window.
    private var pause: UInt64 {
        var pause = min(policy.firstPause, policy.longestPause)
        for _ in 1..<max(1, min(ends.count, 64)) { pause = min(pause > .max / 2 ? .max : pause * 2, policy.longestPause) }
        return pause
    }
}
