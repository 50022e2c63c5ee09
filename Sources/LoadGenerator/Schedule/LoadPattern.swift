import Glibc

/// How requests come.
public enum LoadPattern: Sendable, Hashable {
    /// So many clients, each with one request at a time: the next goes out when the last has ended.
    case closed(clients: Int)
    /// Independent arrivals, so many a second on average, whether or not earlier ones have been answered.
    case poisson(rate: Double)
    /// At these nanoseconds from the start, ascending.
    case timed([UInt64])

    /// In a table's column.
    public var label: String {
        switch self {
        case .closed(let clients): clients == 1 ? "1 client" : "\(clients) clients"
        case .poisson(let rate): "\(Figure.short(rate)) req/s"
        case .timed: "trace"
        }
    }

    /// When requests go out, in nanoseconds from the start; nil where that depends on the answers.
    func arrivals(seed: UInt64) -> Arrivals? {
        switch self {
        case .closed: nil
        case .poisson(let rate): Arrivals(.poisson(rate: rate, SeededGenerator(seed: seed, stream: 0x6172_7269_7665), at: 0))
        case .timed(let offsets): Arrivals(.timed(offsets[...]))
        }
    }
}

/// Times of arrival, one after another.
struct Arrivals: Sendable {
    enum Source: Sendable {
        case poisson(rate: Double, SeededGenerator, at: Double)
        case timed(ArraySlice<UInt64>)
    }
    private var source: Source

    init(_ source: Source) { self.source = source }

    /// Nanoseconds from the start; nil when there are no more.
    mutating func next() -> UInt64? {
        switch source {
        case .poisson(let rate, var generator, let at):
            let time = at - log(1 - generator.unit()) / rate
            source = .poisson(rate: rate, generator, at: time)
            return UInt64(min(time * 1e9, 1e18))
        case .timed(var offsets):
            let time = offsets.popFirst()
            source = .timed(offsets)
            return time
        }
    }
}
