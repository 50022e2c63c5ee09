import Histogram

/// A distribution of latencies. Nanoseconds go in; three digits are kept.
public struct Latencies: Sendable {
    private static let most: UInt64 = 3_600_000_000
    private var histogram = Histogram<UInt32>(highestTrackableValue: Self.most, numberOfSignificantValueDigits: .three)

    public init() {}

    public mutating func add(_ nanoseconds: UInt64) { histogram.record(min(nanoseconds / 1000, Self.most)) }

    public var count: Int { Int(histogram.totalCount) }

    /// Nanoseconds below which `percentile` of a hundred are; nil of none.
    public func at(_ percentile: Double) -> Double? { count == 0 ? nil : Double(histogram.valueAtPercentile(percentile)) * 1000 }

    public var mean: Double? { count == 0 ? nil : histogram.mean * 1000 }
    public var most: Double? { at(100) }
}
