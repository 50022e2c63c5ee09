/// What a request must keep for it to count as good: bounds on its latencies, each optional. `ttft=500ms,itl=50ms`.
public struct ServiceLevel: Sendable, Hashable, CustomStringConvertible {
    /// Of one request.
    public enum Measure: String, Sendable, CaseIterable {
        /// To the first token; between tokens, 99 of 100 gaps of the request; per token after the first, on average; to the end.
        case ttft, itl, tpot, e2e
    }
    public struct Bound: Sendable, Hashable {
        public var measure: Measure
        public var nanoseconds: UInt64
    }
    /// In the order in which they were given.
    public private(set) var bounds: [Bound] = []

    public init(parsing text: String) throws(LoadError) {
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let sides = part.split(separator: "=", omittingEmptySubsequences: false)
            guard sides.count == 2, let measure = Measure(rawValue: sides[0].trimmed), let bound = Self.duration(sides[1].trimmed) else {
                throw LoadError("'\(part)' is no bound; one is ttft, itl, tpot or e2e, '=', and a time as in 500ms or 2s")
            }
            guard !bounds.contains(where: { $0.measure == measure }) else { throw LoadError("\(measure.rawValue) has two bounds; give one") }
            bounds.append(Bound(measure: measure, nanoseconds: bound))
        }
    }

    /// Nanoseconds of "50ms", "1.5s", "200us".
    public static func duration(_ text: String) -> UInt64? {
        let units: [(String, Double)] = [("ms", 1e6), ("us", 1e3), ("s", 1e9)]
        guard let (unit, scale) = units.first(where: { text.hasSuffix($0.0) }), let value = Double(text.dropLast(unit.count)) else { return nil }
        let nanoseconds = value * scale
        return nanoseconds > 0 && nanoseconds <= 1e15 ? UInt64(nanoseconds) : nil
    }

    public func bound(_ measure: Measure) -> UInt64? { bounds.first { $0.measure == measure }?.nanoseconds }

    /// A failed request keeps nothing.
    func isKept(by record: StreamRecord) -> Bool {
        record.failure == nil && bounds.allSatisfy { (record.value(of: $0.measure) ?? 0) <= $0.nanoseconds }
    }

    public var description: String { bounds.map { "\($0.measure.rawValue) <= \(Figure.time(Double($0.nanoseconds)))" }.joined(separator: ", ") }
}

extension Substring {
    fileprivate var trimmed: String {
        String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }
}
