@testable import Engine
@testable import Driver
import Foundation
import Model
import TestKit
import Testing

/// Over HTTP, a device that fails under load costs at most its requests: each ends in its text or in an error of the dialect's, and the server goes on.
@Suite(.serialized, .timeLimit(.minutes(15)), .enabled(if: TestModel.path != nil && TestDrivers.has("cpu"), "the model or the cpu driver is not there; run `baton model pull`"))
struct FaultProofTests {
    /// Where a device fails, and how: a `fault` layer around it.
    enum Place: String, CaseIterable, Sendable {
        case prefill, export, arrival, decode
        /// The process of an isolated device ends.
        case prefillDeath, exportDeath, arrivalDeath, decodeDeath

        var isDeath: Bool { rawValue.hasSuffix("Death") }
        private func death(_ call: String, _ at: Int) -> [LayerName] {
            [LayerName(.fault, [("kind", "die"), ("call", call), ("at", "\(at)"), ("signal", "kill")])]
        }
        /// Of the device whose process ends.
        func isolation(_ stage: String) -> Isolation? {
            guard isDeath, (stage == "prefill") == (self == .prefillDeath || self == .exportDeath) else { return nil }
            var isolation = TestDrivers.isolation()
            isolation.restart.firstPause = 1_000_000
            return isolation
        }
        private func layer(_ call: String, _ at: Int) -> [LayerName] {
            [LayerName(.fault, [("kind", "fail"), ("call", call), ("at", "\(at)"), ("times", "3")])]
        }
        var layers: (prefill: [LayerName], decode: [LayerName]) {
            switch self {
            case .prefill: (layer("submit", 2), [])
            case .export: (layer("kv_export", 3), [])
            case .arrival: ([], layer("kv_import", 3))
            case .decode: ([], layer("submit", 6))
            case .prefillDeath: (death("submit", 2), [])
            case .exportDeath: (death("kv_export", 3), [])
            case .arrivalDeath: ([], death("kv_import", 3))
            case .decodeDeath: ([], death("submit", 6))
            }
        }
    }

    private static let prompts = ["The capital of France is", "Two and two make", "Water boils at", "A cat is", "The sun is", "My name is", "One two three", "In the beginning"]

    private static func engine(_ place: Place?, recomputes: Bool = true) throws -> ServingEngine {
        try ModelTests.travelling(place?.layers ?? ([], []), sequences: 8, isolation: { place?.isolation($0) }) {
            $0.handoff.recomputes = recomputes
            $0.schedule.cooldown = 600_000_000_000
        }
    }

    private static func body(_ prompt: String, streams: Bool) -> String {
        #"{"model": "smol", "prompt": "\#(prompt)", "max_tokens": 8, "temperature": 0, "stream": \#(streams)}"#
    }

    /// How a prompt is asked about: by OpenAI's dialect or by Bedrock's, whole or as a stream.
    private enum Asking: Int, CaseIterable {
        case completion, completionStream, invoke, invokeStream

        func ask(_ server: TestServer, _ prompt: String) async throws -> Reply {
            let way = ["x-baton-route-mode": "disaggregated"]
            switch self {
            case .completion, .completionStream: return try await server.post("/v1/completions", body(prompt, streams: self == .completionStream), way)
            case .invoke, .invokeStream:
                let path = "/model/smol/invoke" + (self == .invoke ? "" : "-with-response-stream")
                return try await server.post(path, #"{"prompt": "\#(prompt)", "max_gen_len": 8, "temperature": 0}"#, way)
            }
        }

        /// The text that came; nil where the request ended in an error, which must be of the dialect's shape.
        func text(_ reply: Reply, _ words: String) -> String? {
            #expect(reply.status == 200 || reply.status >= 500, "\(words): \(reply.status)")
            switch self {
            case .completion, .completionStream:
                let failure = reply.events.compactMap { $0["error"] as? [String: Any] }.first ?? (reply.status == 200 ? nil : reply.error)
                guard let failure else { return LoadProofTests.text(reply) }
                #expect(failure["type"] as? String == "server_error" && (failure["message"] as? String)?.isEmpty == false, "\(words): \(failure)")
                return nil
            case .invoke, .invokeStream:
                guard reply.status == 200 else {
                    let name = reply.headers["x-amzn-errortype"]
                    #expect(name == "InternalServerException" || name == "ServiceUnavailableException", "\(words): \(name ?? "no name")")
                    #expect((reply.json["message"] as? String)?.isEmpty == false, "\(words)")
                    return nil
                }
                if self == .invoke { return reply.json["generation"] as? String }
                if reply.raw.contains(":exception-type") {
                    #expect(reply.raw.contains("modelStreamErrorException"), "\(words)")
                    return nil
                }
                return Self.generations(reply.raw)
            }
        }

        /// Of the chunks of an event stream, of which all but their JSON is passed over.
        private static func generations(_ raw: String) -> String {
            raw.matches(of: /"bytes":"([A-Za-z0-9+\/=]+)"/).compactMap { match in
                let chunk = Data(base64Encoded: String(match.1)).flatMap { try? JSONSerialization.jsonObject(with: $0) } as? [String: Any]
                return chunk?["generation"] as? String
            }.joined()
        }
    }

    private static let unharmed = Task { try await alone() }

    /// What each prompt gives without faults, by either way.
    private static func alone() async throws -> [Set<String>] {
        let engine = try engine(nil)
        defer { engine.close() }
        return try await TestServer.with(engine, model: ModelTests.model(engine)) { (server: TestServer) async throws -> [Set<String>] in
            var all: [Set<String>] = []
            for prompt in prompts {
                var texts: Set<String> = []
                for mode in ["disaggregated", "aggregated"] {
                    texts.insert(LoadProofTests.text(try await server.post("/v1/completions", body(prompt, streams: false), ["x-baton-route-mode": mode])))
                }
                all.append(texts)
            }
            return all
        }
    }

    /// Every block of every pool is free, as `/metrics` has it.
    static func expectNoKV(_ server: TestServer) async throws {
        let metrics = try await server.get("/metrics").body
        let used = metrics.split(separator: "\n").filter { $0.hasPrefix("baton_kv_blocks") && $0.contains("state=\"used\"") }
        #expect(!used.isEmpty && used.allSatisfy { $0.hasSuffix(" 0") }, "\(used)")
    }

    /// Whether it ended in one of those texts; else it must be an error in its dialect's shape.
    private static func isRight(_ reply: Reply, _ asking: Asking, _ texts: Set<String>, _ words: String) -> Bool {
        guard let text = asking.text(reply, words) else { return false }
        #expect(texts.contains(text), "\(words): \(reply.body.prefix(300))")
        return true
    }

    @Test("a device that fails in prefill, in handoff or in decode, or whose process ends there: every request ends in its text or in a typed error, and the server goes on", arguments: Place.allCases, [true, false])
    func fails(place: Place, recomputes: Bool) async throws {
        let alone = try await Self.unharmed.value
        let engine = try Self.engine(place, recomputes: recomputes)
        defer { engine.close() }
        try await TestServer.with(engine, model: ModelTests.model(engine)) { (server: TestServer) async throws -> Void in
            let right = try await withThrowingTaskGroup(of: Bool.self) { group in
                for (number, prompt) in Self.prompts.enumerated() {
                    group.addTask {
                        let asking = Asking.allCases[number % 4]
                        return Self.isRight(try await asking.ask(server, prompt), asking, alone[number], "\(place), request \(number), \(asking)")
                    }
                }
                return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            if recomputes, place != .decode { #expect(right == 8) } else if !place.isDeath { #expect(right < 8) }
            let starts = (engine.placements[0].prefill.parts + engine.placements[0].decode.parts).compactMap { $0.library.isolated?.starts }
            #expect(starts == (place.isDeath ? [2] : []))
            if place == .prefill {
                let strict = try await server.post("/v1/completions", Self.body("Hi", streams: false), ["x-baton-route-mode": "require_disaggregated"])
                #expect(strict.status == 503 && Int(strict.headers["retry-after"] ?? "") ?? 0 > 0 && strict.error["code"] as? String == "service_unavailable")
            }
            // What still fails, if anything, is used up by asking; then all is as it was.
            for _ in 0..<4 { _ = try await server.post("/v1/completions", Self.body("Hi", streams: false), ["x-baton-route-mode": "disaggregated"]) }
            for asking in Asking.allCases { #expect(Self.isRight(try await asking.ask(server, Self.prompts[0]), asking, alone[0], "afterwards, \(asking)")) }
            try await TestServer.until { engine.metrics.running == 0 && engine.metrics.queued == 0 }
            try await Self.expectNoKV(server)
            #expect(try await server.get("/healthz").status == 200)
        }
    }
}
