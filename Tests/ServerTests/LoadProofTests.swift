@testable import Engine
import Foundation
import TestKit
import Testing

/// Over HTTP, one greedy request has one answer, whatever runs beside it.
@Suite(.serialized, .timeLimit(.minutes(15)), .enabled(if: TestModel.path != nil && TestDrivers.has("cpu"), "the model or the cpu driver is not there; run `baton model pull`"))
struct LoadProofTests {
    /// How the server is set up.
    enum Setting: String, CaseIterable, Sendable {
        case whole, chunked, cached, chunkedAndCached, oneDevice
        /// KV runs out: requests give theirs to others, or, in the last, wait for all that they need.
        case preempted, preemptedAndCached, preemptedChunkedAndCached, exhausted

        var isPreempted: Bool { rawValue.hasPrefix("preempted") }
        var isScarce: Bool { isPreempted || self == .exhausted }
        var keepsPrefixes: Bool { ![.whole, .chunked, .preempted].contains(self) }

        func change(_ settings: inout ServingEngine.Settings) {
            settings.schedule.keepsPrefixes = keepsPrefixes
            if [.chunked, .chunkedAndCached, .preemptedChunkedAndCached].contains(self) {
                (settings.schedule.mixedTokens, settings.schedule.mixedFloor, settings.schedule.packedTokens) = (16, 8, 16)
            }
            settings.schedule.overcommits = isPreempted
        }

        var kvTokens: Int { isPreempted ? 256 : self == .exhausted ? 160 : 6144 }
        var modes: [String] { self == .oneDevice ? ["auto", "aggregated"] : ["disaggregated", "aggregated", "auto"] }
        /// Where KV is to run out, some that grow; else several lengths. Some begin alike.
        var prompts: [String] { LoadProofTests.short + (isScarce ? LoadProofTests.middling : LoadProofTests.long) }
        var maxTokens: Int { isScarce ? 40 : 8 }
    }

    private static let short = ["The capital of France is", "Two and two make", "Water boils at", "A cat is"]
    private static let middling = ["a large", "a small"].map { "Once upon a time there lived in the deep green forest beyond the hills, where nobody ever went, \($0)" }
    private static let long = ["The animal that jumps is", "The lazy one is"].map { String(repeating: "The quick brown fox jumps over the lazy dog. ", count: 12) + $0 }

    private static func body(_ prompt: String, _ setting: Setting, streams: Bool) -> String {
        #"{"model": "smol", "prompt": "\#(prompt)", "max_tokens": \#(setting.maxTokens), "temperature": 0, "stream": \#(streams)}"#
    }

    static func text(_ reply: Reply) -> String {
        let bodies = reply.events.isEmpty ? [reply.json] : reply.events
        return bodies.compactMap { ($0["choices"] as? [[String: Any]])?.first?["text"] as? String }.joined()
    }

    /// The same for all settings whose prompts are the same.
    private static let usual = Task { try await alone(.whole) }
    private static let scarce = Task { try await alone(.exhausted) }

    /// What each prompt gives on a server where it is the only one and nothing is kept.
    private static func alone(_ setting: Setting) async throws -> [String] {
        let engine = try ModelTests.engine(true) { $0.schedule.keepsPrefixes = false }
        defer { engine.close() }
        return try await TestServer.with(engine, model: ModelTests.model(engine)) { (server: TestServer) async throws -> [String] in
            var all: [String] = []
            for prompt in setting.prompts {
                let reply = try await server.post("/v1/completions", body(prompt, setting, streams: false), ["x-baton-route-mode": "disaggregated"])
                #expect(reply.status == 200 && reply.headers["x-baton-route"]?.hasPrefix("disaggregated") == true)
                all.append(text(reply))
            }
            return all
        }
    }

    @Test("1, 4, 8 and 16 clients get the answers that each gets alone: chunked or not, cached or not, either mode, preempted or not, with KV for all or for few", arguments: Setting.allCases)
    func same(setting: Setting) async throws {
        let alone = try await setting.isScarce ? Self.scarce.value : Self.usual.value
        #expect(alone.allSatisfy { !$0.isEmpty })
        let engine = try ModelTests.engine(setting != .oneDevice, kvTokens: setting.kvTokens, setting.change)
        defer { engine.close() }
        try await TestServer.with(engine, model: ModelTests.model(engine)) { (server: TestServer) async throws -> Void in
            for count in [1, 4, 8, 16] {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<count {
                        group.addTask {
                            let which = number % alone.count
                            let body = Self.body(setting.prompts[which], setting, streams: number % 2 == 0)
                            let mode = setting.modes[(number / 2) % setting.modes.count]
                            let reply = try await server.post("/v1/completions", body, ["x-baton-route-mode": mode])
                            #expect(reply.status == 200 && Self.text(reply) == alone[which], "\(number) of \(count), \(mode): \(reply.body.prefix(300))")
                        }
                    }
                    try await group.waitForAll()
                }
            }
            let metrics = try await server.get("/metrics").body
            #expect(metrics.contains(#"baton_requests_total{outcome="completed"} 29"#))
            try await FaultProofTests.expectNoKV(server)
        }
        #expect((engine.metrics.preempted > 0) == setting.isPreempted)
        // The short prompts fill no block; those that begin alike do.
        #expect((engine.metrics.prefixHitTokens > 0) == setting.keepsPrefixes)
        #expect(engine.metrics.queueTime.sum > 0)
    }
}
