internal import CoreMetrics
internal import Synchronization

/// Keeps what is counted through swift-metrics, and says it in Prometheus' text format. Any thread.
final class MetricsRegistry: MetricsFactory {
    private struct Name: Hashable {
        var label: String
        var dimensions: [String]
    }
    private enum Kind: String { case counter, gauge, histogram }
    private struct Series {
        var kind: Kind
        var tally: MetricTally
        var dimensions: [(String, String)]
    }
    private let series = Mutex<[Name: Series]>([:])

    func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler { kept(.counter, label, dimensions) }
    func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler { kept(.gauge, label, dimensions) }
    func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler { kept(.histogram, label, dimensions, MetricTally(scale: 1e-9)) }
    func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        kept(aggregate ? .histogram : .gauge, label, dimensions)
    }

    // A series stays: its counts are never to fall.
    func destroyCounter(_ handler: any CounterHandler) {}
    func destroyMeter(_ handler: any MeterHandler) {}
    func destroyRecorder(_ handler: any RecorderHandler) {}
    func destroyTimer(_ handler: any TimerHandler) {}

    private func kept(_ kind: Kind, _ label: String, _ dimensions: [(String, String)], _ fresh: MetricTally = MetricTally()) -> MetricTally {
        let name = Name(label: label, dimensions: dimensions.flatMap { [$0.0, $0.1] })
        return series.withLock { series in
            if let there = series[name]?.tally { return there }
            series[name] = Series(kind: kind, tally: fresh, dimensions: dimensions)
            return fresh
        }
    }

    /// All series, by name.
    func write(to text: inout PrometheusText) {
        let all = series.withLock { $0 }.sorted { ($0.key.label, $0.key.dimensions.joined()) < ($1.key.label, $1.key.dimensions.joined()) }
        for (name, one) in all {
            let tally = one.tally
            switch one.kind {
            case .counter: text.counter(name.label, "As counted by the program", tally.value, one.dimensions)
            case .gauge: text.gauge(name.label, "As of now", tally.value, one.dimensions)
            case .histogram:
                let (counts, sum) = tally.histogram
                text.histogram(name.label, "As measured by the program", bounds: MetricTally.bounds, counts: counts, sum: sum, one.dimensions)
            }
        }
    }
}

/// One series: a value, or counts by bound. Any thread.
final class MetricTally: CounterHandler, MeterHandler, RecorderHandler, TimerHandler {
    /// Upper bounds, seconds where it is a time; one more bucket holds what is beyond.
    static let bounds: [Double] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60]

    private struct State {
        var value = 0.0
        var counts = [Int](repeating: 0, count: MetricTally.bounds.count + 1)
        var sum = 0.0
    }
    private let state = Mutex(State())
    /// What a recorded unit is in the unit shown.
    private let scale: Double

    init(scale: Double = 1) { self.scale = scale }

    var value: Double { state.withLock { $0.value } }
    var histogram: (counts: [Int], sum: Double) { state.withLock { ($0.counts, $0.sum) } }

    func increment(by amount: Int64) { state.withLock { $0.value += Double(amount) } }
    func increment(by amount: Double) { state.withLock { $0.value += amount } }
    func decrement(by amount: Double) { state.withLock { $0.value -= amount } }
    func set(_ value: Int64) { state.withLock { $0.value = Double(value) } }
    func set(_ value: Double) { state.withLock { $0.value = value } }
    func reset() { state.withLock { $0 = State() } }
    func record(_ value: Int64) { record(Double(value)) }
    func recordNanoseconds(_ duration: Int64) { record(Double(duration)) }

    func record(_ value: Double) {
        let shown = value * scale
        state.withLock { state in
            state.value = shown
            state.counts[Self.bounds.firstIndex { shown <= $0 } ?? Self.bounds.count] += 1
            state.sum += shown
        }
    }
}
