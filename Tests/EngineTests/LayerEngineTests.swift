import Driver
import Engine
import Foundation
import TestKit
import Testing
import Tokens

/// The main path with layers around its devices.
@Suite(.enabled(if: TestModel.path != nil && TestDrivers.has("cpu"), "the real model or the cpu driver is not there"), .serialized)
struct LayerEngineTests {
    private static let golden = Golden.prompts.filter { $0.ids.count < 40 }.prefix(2)

    private static func tokens(_ layers: [LayerName], numerics: String = "f32") throws -> [[Int32]] {
        let host = [StageDevices.Named(label: "host", driver: "cpu", options: ["numerics": numerics], layers: layers)]
        let engine = try Engines.open(prefill: host, decode: host)
        return try golden.map { try engine.run(Request(prompt: $0.ids, maxTokens: 8, sampling: .greedy, obeysEnd: false)).completionTokens }
    }

    @Test("with every layer on, tokens are those without; what was recorded replays to the same on this driver, and what differs is named")
    func allLayers() throws {
        let base = NSTemporaryDirectory() + "baton-\(UUID().uuidString)"
        let (trace, recording) = (base + ".jsonl", base + ".recording")
        defer { for path in [trace, recording, recording + ".data"] { try? FileManager.default.removeItem(atPath: path) } }
        let found = try Self.tokens([
            LayerName(.watchdog), LayerName(.validate), LayerName(.trace, [("file", trace)]), LayerName(.record, [("file", recording)]),
        ])
        #expect(try found == Self.tokens([]))
        #expect(!found.isEmpty && found.allSatisfy { $0.count == 8 })
        #expect(try String(contentsOfFile: trace, encoding: .utf8).contains("\"call\":\"submit\""))

        let library = try TestDrivers.catalog().load("cpu")
        let same = try Replay(reading: recording, on: library).run()
        #expect(same.first_divergence == nil, "\(String(describing: same.first_divergence))")
        #expect(same.compared == 16 && same.largest_difference == 0)

        var settings = Replay.Settings()
        (settings.absolute, settings.relative) = (0, 0)
        settings.options = ["numerics": "bf16"]
        let other = try Replay(reading: recording, on: library, settings: settings).run()
        let first = try #require(other.first_divergence)
        #expect(first.name == "read" && first.operation.contains("tensor") && first.element.hasPrefix("row 0, element"))
        #expect(other.largest_difference > 0)
    }

    @Test("KV that was exported while recording is exported again on replay")
    func exports() throws {
        let recording = NSTemporaryDirectory() + "baton-\(UUID().uuidString).recording"
        defer { for path in [recording, recording + ".data"] { try? FileManager.default.removeItem(atPath: path) } }
        try #require(TestDrivers.has("cs3"))
        do {
            var settings = Engine.Settings()
            settings.handoff = HandoffSettings(deadline: 60_000_000_000)
            let engine = try Engines.pair(
                .init(label: "a", driver: "cpu", options: ["numerics": "f32"], layers: [LayerName(.record, [("file", recording)])]), .init(label: "b", driver: "cs3"), settings: settings)
            let report = try engine.run(Request(prompt: Self.golden[0].ids, maxTokens: 2, sampling: .greedy, obeysEnd: false))
            #expect(report.handoff?.pieces ?? 0 > 0 && report.handoff?.recomputed == false)
        }
        let report = try Replay(reading: recording, on: TestDrivers.catalog().load("cpu")).run()
        #expect(report.first_divergence == nil && report.largest_difference == 0, "\(String(describing: report.first_divergence))")
        #expect(report.compared > 30, "\(report.compared) compared, \(report.notes)")
    }
}
