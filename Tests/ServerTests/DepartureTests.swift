@testable import Engine
import Driver
import Foundation
import Model
import TestKit
import Testing

@testable import Server

/// Clients that leave, each seen to stand in one phase when it goes. Slow devices make phases long enough to be seen.
@Suite(.serialized, .timeLimit(.minutes(10)), .enabled(if: TestModel.path != nil && TestDrivers.has("cpu"), "the model or the cpu driver is not there; run `baton model pull`"))
struct DepartureTests {
    private static func slow(_ call: String, _ time: String) -> [LayerName] {
        [LayerName(.fault, [("kind", "delay"), ("call", call), ("rate", "1"), ("for", time)])]
    }

    /// What is slow, so that the phase takes long.
    private static func layers(_ phase: RequestPhase) -> (prefill: [LayerName], decode: [LayerName]) {
        switch phase {
        case .prefill: (slow("submit", "400ms"), [])
        // The last pieces of KV are waited for after prefill has ended.
        case .handoff: ([], slow("wait", "60ms"))
        case .queue, .decode: ([], slow("submit", "60ms"))
        }
    }

    private static func engine(_ phase: RequestPhase) throws -> ServingEngine {
        // One request runs at a time where others are to wait.
        try ModelTests.travelling(layers(phase), sequences: phase == .queue ? 1 : 4) { $0.schedule.keepsPrefixes = false }
    }

    private static func body(_ maxTokens: Int, streams: Bool) -> String {
        #"{"model": "smol", "prompt": "The capital of France is", "max_tokens": \#(maxTokens), "temperature": 0, "stream": \#(streams)}"#
    }

    private static let disaggregated = ["x-baton-route-mode": "disaggregated"]

    @Test("a client that leaves while its request waits, is prefilled, handed over or decoded has it cancelled there, and nothing stays behind", arguments: RequestPhase.allCases, [false, true])
    func leaves(phase: RequestPhase, streams: Bool) async throws {
        let engine = try Self.engine(phase)
        defer { engine.close() }
        try await TestServer.with(engine, model: ModelTests.model(engine)) { (server: TestServer) async throws -> Void in
            let before = LoadProofTests.text(try await server.post("/v1/completions", Self.body(6, streams: false), Self.disaggregated))
            // On a busy machine the phase may be over before this sees it: then another client comes, and leaves.
            for _ in 0..<20 where engine.metrics.cancelledIn[phase] == nil {
                try await Self.idle(engine)
                let ended = engine.metrics.completed
                async let seated = phase == .queue ? LoadProofTests.text(server.post("/v1/completions", Self.body(6, streams: false), Self.disaggregated)) : before
                if phase == .queue { try await TestServer.until { engine.metrics.running == 1 || engine.metrics.completed > ended } }
                // Who has the seat may end first.
                try await Self.leave(server, engine, phase, streams: streams, unless: ended + (phase == .queue ? 1 : 0))
                #expect(try await seated == before)
                try await Self.idle(engine)
            }
            #expect(engine.metrics.cancelledIn[phase] == 1)
            #expect(engine.metrics.kv.allSatisfy { $0.used == 0 && $0.quarantined == 0 })
            #expect(LoadProofTests.text(try await server.post("/v1/completions", Self.body(6, streams: false), Self.disaggregated)) == before)
        }
    }

    private static func idle(_ engine: ServingEngine) async throws {
        try await TestServer.until { engine.metrics.running == 0 && engine.metrics.queued == 0 }
    }

    /// Asks, waits until the request stands in the phase, and goes; returns when the engine has noticed, or when it has ended, which is
    /// when more than `mostEnded` have.
    private static func leave(
        _ server: TestServer, _ engine: ServingEngine, _ phase: RequestPhase, streams: Bool, unless mostEnded: Int
    ) async throws {
        let (port, text) = (server.port, TestServer.text("POST", "/v1/completions", body(100, streams: streams), disaggregated))
        let wire = try await Wire.blocking {
            let wire = try Wire(port: port)
            wire.send(text)
            return Wire.Held(wire: wire)
        }
        let cancelled = engine.metrics.cancelled
        try await TestServer.until { engine.metrics.phases[phase] == 1 || engine.metrics.completed > mostEnded }
        wire.wire.reset()
        try await TestServer.until { engine.metrics.cancelled > cancelled || engine.metrics.completed > mostEnded }
    }
}
