public import Driver

/// A driver's cost as a function of tokens, asked once at a few points and joined by straight lines, so that routing asks no driver.
public struct CostCurve: Sendable, Hashable {
    public let clock: Clock
    /// Tokens and nanoseconds, both ascending by tokens.
    let points: [Point]

    struct Point: Sendable, Hashable {
        var tokens: Int
        var nanoseconds: UInt64
    }

    public init(clock: Clock, points: [(tokens: Int, nanoseconds: UInt64)]) {
        self.clock = clock
        self.points = points.map { Point(tokens: $0.tokens, nanoseconds: $0.nanoseconds) }
    }

    /// Nanoseconds for `tokens`; beyond the last point on its line from the origin.
    public func at(_ tokens: Int) -> UInt64 {
        guard tokens > 0, let last = points.last else { return 0 }
        guard let upper = points.firstIndex(where: { $0.tokens >= tokens }) else {
            return UInt64(Double(last.nanoseconds) * Double(tokens) / Double(max(1, last.tokens)))
        }
        guard upper > 0 else { return points[0].nanoseconds }
        let (a, b) = (points[upper - 1], points[upper])
        let share = Double(tokens - a.tokens) / Double(max(1, b.tokens - a.tokens))
        return UInt64(max(0, Double(a.nanoseconds) + (Double(b.nanoseconds) - Double(a.nanoseconds)) * share))
    }

    /// Powers of two up to `most`.
    static func grid(_ most: Int) -> [Int] {
        var points: [Int] = []
        var next = 1
        while next < most {
            points.append(next)
            next *= next < 16 ? 16 : 2
        }
        return points + [max(1, most)]
    }
}

extension PlacedStage {
    /// What prefill takes here; nil when a driver gives no costs.
    func prefillCurve(context: Int) -> CostCurve? {
        var clock: Clock?
        var points: [(Int, UInt64)] = []
        for tokens in CostCurve.grid(context) {
            guard let cost = try? estimatePrefill(tokens: tokens) else { return nil }
            clock = cost.clock
            points.append((tokens, cost.nanoseconds))
        }
        return clock.map { CostCurve(clock: $0, points: points) }
    }
}

extension Placement {
    /// What KV import takes of the decode devices; nil when a driver gives no costs.
    func importCurve() -> CostCurve? {
        var clock: Clock?
        var points: [(Int, UInt64)] = []
        for tokens in CostCurve.grid(context) {
            guard let cost = estimate(promptTokens: tokens)?.handoff else { return nil }
            clock = cost.clock
            points.append((tokens, cost.nanoseconds))
        }
        return clock.map { CostCurve(clock: $0, points: points) }
    }
}
