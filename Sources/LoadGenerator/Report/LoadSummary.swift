/// What a load came to. Latencies are of requests that were answered in full; failed ones are counted by kind.
public struct LoadSummary: Sendable {
    public let pattern: LoadPattern
    public let level: ServiceLevel?
    /// Requests in all, and those that were answered in full.
    public private(set) var requests = 0
    public private(set) var completed = 0
    public private(set) var failures: [LoadFailure: Int] = [:]
    /// From the first request to the last end.
    public private(set) var seconds = 0.0
    public private(set) var promptTokens = 0
    public private(set) var cachedTokens = 0
    public private(set) var outputTokens = 0
    /// The server said how many tokens there were, of every request; else events with text stand for tokens, and prompts are not counted.
    public private(set) var areTokensStated = true
    /// Requests that kept the service level.
    public private(set) var good = 0
    public private(set) var latencies: [ServiceLevel.Measure: Latencies] = [:]
    /// How late requests went out: large, and this side was the bottleneck.
    public private(set) var lateness = Latencies()
    /// Texts that came in each of `bins` parts of the time, and requests on their way in the middle of each.
    public private(set) var texts: [Int] = []
    public private(set) var inFlight: [Int] = []

    public init(_ records: [StreamRecord], pattern: LoadPattern, level: ServiceLevel?, bins: Int = 120) {
        (self.pattern, self.level) = (pattern, level)
        for measure in ServiceLevel.Measure.allCases { latencies[measure] = Latencies() }
        for record in records { add(record) }
        let begin = records.map(\.intended).min() ?? 0
        let end = records.compactMap(\.ended).max() ?? begin
        seconds = Double(end - min(end, begin)) / 1e9
        chart(records, begin, end, bins)
    }

    private mutating func add(_ record: StreamRecord) {
        requests += 1
        if level?.isKept(by: record) ?? false { good += 1 }
        if let failure = record.failure {
            failures[failure, default: 0] += 1
            return
        }
        completed += 1
        promptTokens += record.promptTokens ?? 0
        cachedTokens += record.cachedTokens ?? 0
        outputTokens += record.outputTokens
        areTokensStated = areTokensStated && record.isCountStated
        lateness.add(record.sent - min(record.sent, record.intended))
        for measure in [ServiceLevel.Measure.ttft, .tpot, .e2e] { if let value = record.value(of: measure) { latencies[measure]?.add(value) } }
        for gap in record.gaps { latencies[.itl]?.add(gap) }
    }

    private mutating func chart(_ records: [StreamRecord], _ begin: UInt64, _ end: UInt64, _ bins: Int) {
        guard end > begin, bins > 0 else { return }
        let span = Double(end - begin)
        func bin(_ time: UInt64) -> Int { min(bins - 1, Int(Double(time - min(time, begin)) / span * Double(bins))) }
        /// The first part whose middle is not before `time`.
        func middle(_ time: UInt64) -> Int { min(bins, Int((Double(time - min(time, begin)) / span * Double(bins) - 0.5).rounded(.up))) }
        texts = [Int](repeating: 0, count: bins)
        var changes = [Int](repeating: 0, count: bins + 1)
        for record in records {
            for time in record.arrivals { texts[bin(time)] += 1 }
            changes[middle(record.intended)] += 1
            if let ended = record.ended { changes[middle(ended)] -= 1 }
        }
        var now = 0
        inFlight = changes.prefix(bins).map { change in
            now += change
            return now
        }
    }

    public var failed: Int { requests - completed }
    public var outputRate: Double { seconds > 0 ? Double(outputTokens) / seconds : 0 }
    public var requestRate: Double { seconds > 0 ? Double(completed) / seconds : 0 }
    /// Good requests a second, and their share of all that were to be answered.
    public var goodput: Double { seconds > 0 ? Double(good) / seconds : 0 }
    public var goodShare: Double { requests > 0 ? Double(good) / Double(requests) : 0 }

    public func at(_ percentile: Double, _ measure: ServiceLevel.Measure) -> Double? { latencies[measure]?.at(percentile) }

    /// Failures by kind, most first.
    public var failureList: [(kind: String, count: Int)] {
        failures.map { (kind: $0.key.description, count: $0.value) }.sorted { ($1.count, $0.kind) < ($0.count, $1.kind) }
    }
}
