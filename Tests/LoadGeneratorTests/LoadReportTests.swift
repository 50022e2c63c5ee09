import Foundation
import FoundationXML
import Testing

@testable import LoadGenerator

/// Statistics, and what is written of them.
struct LoadReportTests {
    private static let millisecond: UInt64 = 1_000_000

    /// A request that begins at `start`, has its first token after `first` and `tokens` of them every `gap`; all in milliseconds.
    private func record(_ start: UInt64, first: UInt64, gap: UInt64, tokens: Int) throws -> StreamRecord {
        let unit = Self.millisecond
        var record = StreamRecord(intended: start * unit, sent: start * unit)
        for index in 0..<UInt64(tokens) { try record.take(Array(#"{"choices":[{"text":"x"}]}"#.utf8), at: (start + first + index * gap) * unit) }
        let usage = #"{"choices":[{"text":"","finish_reason":"length"}],"usage":{"prompt_tokens":10,"completion_tokens":\#(tokens)}}"#
        let end = (start + first + UInt64(tokens) * gap) * unit
        try record.take(Array(usage.utf8), at: end)
        record.end(at: end)
        return record
    }

    private func failed(_ failure: LoadFailure) -> StreamRecord {
        var record = StreamRecord(intended: 0, sent: 0)
        record.fail(failure, at: 1)
        return record
    }

    private func summary(level: String? = nil) throws -> LoadSummary {
        let records = try (1...100).map { try record(UInt64($0) * 10, first: UInt64($0), gap: 5, tokens: 4) }
        return LoadSummary(records + [failed(.timeout), failed(.status(429, "busy")), failed(.timeout)], pattern: .closed(clients: 4), level: try level.map(ServiceLevel.init))
    }

    @Test("percentiles, rates and failures are what the requests were")
    func figures() throws {
        let summary = try summary()
        #expect(summary.requests == 103 && summary.completed == 100 && summary.failed == 3 && summary.outputTokens == 400 && summary.promptTokens == 1000)
        #expect(summary.failureList.map { "\($0.count) \($0.kind)" } == ["2 timeout", "1 status 429 busy"])
        for (percentile, milliseconds) in [(50.0, 50.0), (90, 90), (99, 99), (100, 100)] {
            let value = try #require(summary.at(percentile, .ttft))
            #expect(abs(value / 1e6 - milliseconds) <= 0.2)
        }
        #expect(abs(try #require(summary.at(99, .itl)) / 1e6 - 5) < 0.02)
        #expect(summary.latencies[.itl]?.count == 300)
        let seconds = 1.120
        #expect(abs(summary.seconds - seconds) < 1e-9 && abs(summary.outputRate - 400 / seconds) < 1e-6)
        #expect(summary.texts.reduce(0, +) == 400 && (1...100).contains(summary.inFlight.max() ?? 0))
    }

    @Test("a request is good when it keeps every bound; failed ones never are")
    func goodput() throws {
        #expect(try summary(level: "ttft=25ms").good == 25)
        #expect(try summary(level: "ttft=25ms,itl=4ms").good == 0)
        #expect(try summary(level: "e2e=10s,tpot=5ms").good == 100)
        let summary = try summary(level: "ttft=50ms")
        #expect(abs(summary.goodShare - 50.0 / 103) < 1e-9 && abs(summary.goodput - 50 / summary.seconds) < 1e-9)
    }

    @Test("a bound that is none is refused with the form of one", arguments: ["", "ttft", "ttft=5", "ttft=-5ms", "xyz=5ms", "ttft=5ms,ttft=6ms", "ttft=nans", "ttft=5ms,"])
    func wrongLevels(text: String) {
        #expect(throws: LoadError.self) { try ServiceLevel(parsing: text) }
    }

    @Test("times are read with their units")
    func durations() {
        #expect(ServiceLevel.duration("1.5s") == 1_500_000_000 && ServiceLevel.duration("20ms") == 20_000_000 && ServiceLevel.duration("7us") == 7_000)
        #expect(ServiceLevel.duration("0ms") == nil && ServiceLevel.duration("infs") == nil && ServiceLevel.duration("5m") == nil)
    }

    private func report() throws -> LoadReport {
        var report = LoadReport(
            url: "http://127.0.0.1:1", model: "m<&\"", workload: "128 words in", seed: 5, date: "", level: try ServiceLevel(parsing: "ttft=25ms"))
        report.loads = [try summary(level: "ttft=25ms"), LoadSummary([], pattern: .poisson(rate: 0.5), level: nil)]
        return report
    }

    @Test("JSON has milliseconds, errors by kind and goodput")
    func json() throws {
        let object = try #require(try JSONSerialization.jsonObject(with: try JSONEncoder().encode(try report())) as? [String: Any])
        let loads = try #require(object["loads"] as? [[String: Any]])
        #expect(object["slo"] as? String == "ttft <= 25 ms" && loads.count == 2)
        #expect(loads[0]["clients"] as? Int == 4 && loads[0]["errors"] as? [String: Int] == ["timeout": 2, "status 429 busy": 1])
        let ttft = try #require(loads[0]["ttft_ms"] as? [String: Any])
        #expect(abs((ttft["p90"] as? Double ?? 0) - 90) < 0.2 && ttft["count"] as? Int == 100)
        #expect((loads[0]["goodput"] as? [String: Any])?["requests"] as? Int == 25)
        #expect(loads[1]["rate"] as? Double == 0.5 && loads[1]["requests"] as? Int == 0)
    }

    @Test("picture and page are well formed, with a load that nothing came of, and text from outside is escaped")
    func picture() throws {
        let report = try report()
        for text in [report.svg, LoadReport(url: "u", model: "m", workload: "", seed: 0, date: "", level: nil).svg] {
            #expect(XMLParser(data: Data(text.utf8)).parse())
            #expect(!text.contains("nan") && !text.contains("inf"))
        }
        #expect(report.svg.contains("bound 25 ms"))
        #expect(report.svg.contains("m&lt;&amp;&quot; under load") && report.html.contains("<td>4 clients</td>"))
        #expect(report.table.allSatisfy { $0.count == report.table[0].count })
        #expect(report.notes.contains { $0.contains("2 failed: timeout") })
    }

    @Test("figures keep three digits", arguments: [(0, "0"), (1234.4, "1234"), (99.96, "100"), (12.34, "12.3"), (1.2345, "1.23"), (0.05, "0.05"), (2, "2"), (-1.5, "-1.5"), (.nan, "-")] as [(Double, String)])
    func short(value: Double, text: String) { #expect(Figure.short(value) == text) }
}
