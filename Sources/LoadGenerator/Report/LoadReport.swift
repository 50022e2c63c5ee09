/// A benchmark of one server: a load after another. Encoded, it is what `--json` writes; times are milliseconds.
public struct LoadReport: Sendable, Encodable {
    public var url: String
    public var model: String
    public var workload: String
    public var seed: UInt64
    /// When it began, in UTC, as in "2026-01-31T12:00:00Z"; empty when that is not to be said.
    public var date: String
    public var level: ServiceLevel?
    public var loads: [LoadSummary]

    public init(url: String, model: String, workload: String, seed: UInt64, date: String, level: ServiceLevel?, loads: [LoadSummary] = []) {
        (self.url, self.model, self.workload, self.seed) = (url, model, workload, seed)
        (self.date, self.level, self.loads) = (date, level, loads)
    }

    private enum Keys: String, CodingKey { case url, model, workload, seed, date, slo, loads }

    public func encode(to encoder: any Encoder) throws {
        var fields = encoder.container(keyedBy: Keys.self)
        try fields.encode(url, forKey: .url)
        try fields.encode(model, forKey: .model)
        try fields.encode(workload, forKey: .workload)
        try fields.encode(seed, forKey: .seed)
        try fields.encode(date, forKey: .date)
        try fields.encodeIfPresent(level?.description, forKey: .slo)
        try fields.encode(loads.map(LoadRow.init), forKey: .loads)
    }

    /// Of tokens, those of completions.
    static let head = ["load", "requests", "failed", "tok/s", "req/s", "TTFT p50", "p99", "ITL p50", "p99", "TPOT p50", "E2E p50", "p99"]

    /// A row for each load below a row of headings; times carry their units.
    public var table: [[String]] {
        let head = Self.head + (level == nil ? [] : ["good", "good/s"])
        return [head] + loads.map { load in
            func time(_ percentile: Double, _ measure: ServiceLevel.Measure) -> String { load.at(percentile, measure).map(Figure.time) ?? "-" }
            let row = [
                load.pattern.label, "\(load.requests)", "\(load.failed)", Figure.short(load.outputRate), Figure.short(load.requestRate),
                time(50, .ttft), time(99, .ttft), time(50, .itl), time(99, .itl), time(50, .tpot), time(50, .e2e), time(99, .e2e),
            ]
            return row + (level == nil ? [] : ["\(Int((load.goodShare * 100).rounded())) %", Figure.short(load.goodput)])
        }
    }

    /// What a reader should know beside the table, a line each.
    public var notes: [String] {
        var notes: [String] = []
        for load in loads {
            for failure in load.failureList { notes.append("\(load.pattern.label): \(failure.count) failed: \(failure.kind)") }
            if let late = load.lateness.at(99), late > 20e6 {
                notes.append("\(load.pattern.label): requests went out up to \(Figure.time(late)) late (p99): this side was short of processor time")
            }
        }
        let completed = loads.reduce(0) { $0 + $1.completed }
        if loads.allSatisfy(\.areTokensStated), completed > 0 {
            let (input, output, cached) = loads.reduce(into: (0, 0, 0)) { $0 = ($0.0 + $1.promptTokens, $0.1 + $1.outputTokens, $0.2 + $1.cachedTokens) }
            let mean = { (sum: Int) in Figure.short(Double(sum) / Double(completed)) }
            notes.append("tokens by the server's count, a request: \(mean(input)) in (\(mean(cached)) of them cached), \(mean(output)) out")
        } else if completed > 0 {
            notes.append("the server states no usage: each event with text counts as one token")
        }
        return notes
    }
}

/// One load in JSON.
struct LoadRow: Encodable {
    struct Times: Encodable {
        var count: Int
        var mean, p50, p90, p95, p99, max: Double?

        init(_ latencies: Latencies) {
            let milliseconds = { (value: Double?) in value.map { ($0 / 1e3).rounded() / 1e3 } }
            count = latencies.count
            mean = milliseconds(latencies.mean)
            (p50, p90) = (milliseconds(latencies.at(50)), milliseconds(latencies.at(90)))
            (p95, p99, max) = (milliseconds(latencies.at(95)), milliseconds(latencies.at(99)), milliseconds(latencies.most))
        }
    }
    struct Goodput: Encodable {
        var requests: Int
        var share, requests_s: Double
    }
    var load: String
    var clients: Int?
    var rate: Double?
    var requests, completed, failed: Int
    var errors: [String: Int]
    var seconds, output_tok_s, requests_s: Double
    var prompt_tokens, cached_tokens, output_tokens: Int
    var tokens_stated: Bool
    var ttft_ms, itl_ms, tpot_ms, e2e_ms, lateness_ms: Times
    var goodput: Goodput?

    init(_ summary: LoadSummary) {
        load = summary.pattern.label
        if case .closed(let count) = summary.pattern { clients = count }
        if case .poisson(let requests) = summary.pattern { rate = requests }
        (requests, completed, failed) = (summary.requests, summary.completed, summary.failed)
        errors = Dictionary(summary.failureList.map { ($0.kind, $0.count) }) { $0 + $1 }
        (seconds, output_tok_s, requests_s) = (summary.seconds, summary.outputRate, summary.requestRate)
        (prompt_tokens, cached_tokens, output_tokens) = (summary.promptTokens, summary.cachedTokens, summary.outputTokens)
        tokens_stated = summary.areTokensStated
        let times = { (measure: ServiceLevel.Measure) in Times(summary.latencies[measure] ?? Latencies()) }
        (ttft_ms, itl_ms, tpot_ms, e2e_ms) = (times(.ttft), times(.itl), times(.tpot), times(.e2e))
        lateness_ms = Times(summary.lateness)
        if summary.level != nil { goodput = Goodput(requests: summary.good, share: summary.goodShare, requests_s: summary.goodput) }
    }
}
