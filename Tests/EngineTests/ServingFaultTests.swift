import Driver
@testable import Engine
import Synchronization
import TestKit
import Testing
import Tokens

/// Devices that die and KV that is damaged, while many requests run.
@Suite(.enabled(if: TestModel.path != nil && TestDrivers.has("cpu") && TestDrivers.has("trainium3") && TestDrivers.has("cs3"), "the real model or a driver is not there"), .serialized)
struct ServingFaultTests {
    private static let prompts = Serving.prompts(8)

    private static func alone(_ mode: Route.Mode) async throws -> [[Int32]] {
        let engine = try Serving.open(Serving.device("trn", "trainium3"), Serving.device("wse", "cs3"), sequences: 1) { $0.schedule.keepsPrefixes = false }
        defer { engine.close() }
        var all: [[Int32]] = []
        for prompt in prompts { all.append(try await Serving.answer(engine, Serving.request(prompt, 8, mode: mode)).tokens) }
        return all
    }

    /// Answers and errors, in the order of the prompts.
    private static func results(_ engine: ServingEngine) async -> [Result<Serving.Answer, any Error>] {
        let tasks = prompts.map { prompt in Task { try await Serving.answer(engine, Serving.request(prompt, 8, mode: .disaggregated)) } }
        var all: [Result<Serving.Answer, any Error>] = []
        for task in tasks { all.append(await task.result) }
        return all
    }

    @Test("when the prefill device dies, requests are computed again on the decode device, with the tokens it makes alone")
    func prefillDies() async throws {
        let (apart, together) = (try await Self.alone(.disaggregated), try await Self.alone(.aggregated))
        let engine = try Serving.open(Serving.device("trn", "trainium3", ["fail_after": "2"]), Serving.device("wse", "cs3"))
        defer { engine.close() }
        for (index, result) in await Self.results(engine).enumerated() {
            let answer = try result.get()
            #expect([apart[index], together[index]].contains(answer.tokens), "request \(index)")
        }
        await engine.drain()
        let metrics = engine.metrics
        #expect(metrics.recomputed > 0 && metrics.completed == 8 && metrics.failed == 0)
        #expect(Serving.heldBlocks(engine) == 0)
    }

    @Test("when the prefill device dies and the manifest says to fail, the requests it had end with the driver's words; the rest run")
    func prefillDiesForGood() async throws {
        let engine = try Serving.open(Serving.device("trn", "trainium3", ["fail_after": "2"]), Serving.device("wse", "cs3")) {
            $0.handoff = HandoffSettings(deadline: 30_000_000_000, recomputes: false)
        }
        defer { engine.close() }
        let errors = await Self.results(engine).compactMap { result -> EngineError? in
            if case .failure(let error) = result { error as? EngineError } else { nil }
        }
        #expect(!errors.isEmpty)
        #expect(errors.allSatisfy { $0.kind == .driver || $0.kind == .handoff })
        var strict = Serving.request(Self.prompts[0], 4)
        strict.requiresDisaggregated = true
        await #expect(throws: EngineError.self) { _ = try await Serving.answer(engine, strict) }
        await engine.drain()
        #expect(Serving.heldBlocks(engine) == 0)
    }

    @Test("when the decode device dies, every request ends with an error and every block goes back")
    func decodeDies() async throws {
        let engine = try Serving.open(Serving.device("trn", "trainium3"), Serving.device("wse", "cs3", ["fail_after": "5"]))
        defer { engine.close() }
        for result in await Self.results(engine) {
            guard case .failure(let error) = result else { continue }
            #expect([.driver, .handoff].contains((error as? EngineError)?.kind), "\(error)")
        }
        await engine.drain()
        let metrics = engine.metrics
        #expect(metrics.failed > 0 && metrics.failed + metrics.completed == 8)
        #expect(Serving.heldBlocks(engine) == 0)
    }

    @Test("KV that is damaged on its way is computed again; the other requests of the batch notice nothing")
    func damaged() async throws {
        let (apart, together) = (try await Self.alone(.disaggregated), try await Self.alone(.aggregated))
        let hits = Atomic<Int>(0)
        let engine = try Serving.open(Serving.device("trn", "trainium3"), Serving.device("wse", "cs3")) {
            $0.tamper = { piece, bytes in
                if piece == 7, hits.add(1, ordering: .relaxed).newValue % 3 == 1 { bytes[40] ^= 1 }
            }
        }
        defer { engine.close() }
        var recomputed = 0
        for (index, result) in await Self.results(engine).enumerated() {
            let answer = try result.get()
            let again = answer.ended?.handoff?.recomputed == true
            recomputed += again ? 1 : 0
            #expect(answer.tokens == (again ? together : apart)[index], "request \(index)")
        }
        await engine.drain()
        #expect(recomputed == 3)
        #expect(engine.metrics.recomputed == 3 && engine.metrics.handoffsAborted == 3 && engine.metrics.handoffs == 5)
        #expect(Serving.heldBlocks(engine) == 0)
    }
}
