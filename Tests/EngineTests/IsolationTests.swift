@testable import Driver
@testable import Engine
import Glibc
import TestKit
import Testing
import Tokens

/// The engines over drivers in processes of their own, which end while requests run.
@Suite(.enabled(if: TestModel.path != nil && TestDrivers.has("cpu"), "the real model or a driver is not there"), .serialized)
struct IsolationTests {
    private static func isolation() -> Isolation {
        var isolation = TestDrivers.isolation()
        isolation.restart.firstPause = 1_000_000
        return isolation
    }

    private static func device(_ label: String, _ driver: String) -> StageDevices.Named {
        StageDevices.Named(label: label, driver: driver, isolation: isolation())
    }

    private static func request(_ prompt: [Int32]) -> Request { Request(prompt: prompt, maxTokens: 32, sampling: .greedy, obeysEnd: false) }

    @Test("tokens through a child are those without one, for every prompt of the reference")
    func sameTokens() throws {
        let plain = [StageDevices.Named(label: "a", driver: "cpu", isolation: nil)]
        let (apart, together) = (try Engines.open(prefill: [Self.device("a", "cpu")], decode: [Self.device("a", "cpu")]), try Engines.open(prefill: plain, decode: plain))
        for golden in Golden.prompts {
            let found = try apart.run(Self.request(golden.ids)).completionTokens
            #expect(found == (try together.run(Self.request(golden.ids)).completionTokens), "\(golden.name)")
        }
    }

    @Test(
        "Trainium3 to CS-3, each in a child: KV crosses in memory that both see, and tokens are those without children",
        .enabled(if: TestDrivers.has("trainium3") && TestDrivers.has("cs3")))
    func crossing() throws {
        let apart = try Engines.pair(Self.device("trn", "trainium3"), Self.device("wse", "cs3"))
        let together = try Engines.pair(
            .init(label: "trn", driver: "trainium3", isolation: nil), .init(label: "wse", driver: "cs3", isolation: nil))
        for golden in Golden.prompts.prefix(3) {
            let report = try apart.run(Self.request(golden.ids))
            #expect(report.handoff?.state == "adopted")
            #expect(report.completionTokens == (try together.run(Self.request(golden.ids)).completionTokens), "\(golden.name)")
        }
    }

    @Test("when the child is ended in the middle of a completion, the text goes on from a new child as if nothing had been")
    func goesOn() throws {
        let engine = try Engines.open(prefill: [Self.device("a", "cpu")], decode: [Self.device("a", "cpu")])
        let prompt = Golden.prompts[0].ids
        let calm = try engine.run(Self.request(prompt))
        let library = try #require(engine.placement.decode.parts.first?.library)
        var pieces = 0
        let report = try engine.run(Self.request(prompt)) { _ in
            pieces += 1
            if pieces == 5, let process = library.process { kill(process, SIGKILL) }
        }
        #expect(pieces > 5)
        #expect(report.completionTokens == calm.completionTokens && report.text == calm.text)
        #expect(report.routeReason.contains("SIGKILL"), "\(report.routeReason)")
    }

    @Test("a driver that dies when a layer of its prefill or a step is complete, or before a call, costs no token", arguments: [
        [("kind", "die"), ("call", "submit"), ("at", "1"), ("layer", "12")], [("kind", "die"), ("call", "submit"), ("at", "4"), ("layer", "29"), ("signal", "segv")],
        [("kind", "die"), ("call", "read"), ("at", "3"), ("signal", "kill")],
    ])
    func dies(fault: [(String, String)]) throws {
        let device = StageDevices.Named(label: "a", driver: "cpu", layers: [LayerName(.fault, fault)], isolation: Self.isolation())
        let (failing, calm) = (try Engines.open(prefill: [device], decode: [device]), try Engines.open(prefill: [Self.device("a", "cpu")], decode: [Self.device("a", "cpu")]))
        let found = try failing.run(Self.request(Golden.prompts[0].ids)).completionTokens
        #expect(try found == calm.run(Self.request(Golden.prompts[0].ids)).completionTokens)
        #expect(failing.placement.decode.parts.first?.library.isolated?.starts == 2)
    }

    @Test("a child goes with its engine, whatever layers stand around it, and however often it was started", arguments: [
        [], [LayerName(.validate, [])], [LayerName(.fault, [("kind", "die"), ("call", "read"), ("at", "3"), ("signal", "kill")])],
    ])
    func goes(layers: [LayerName]) throws {
        var process: Int32?
        do {
            let device = StageDevices.Named(label: "a", driver: "cpu", layers: layers, isolation: Self.isolation())
            let engine = try Engines.open(prefill: [device], decode: [device])
            _ = try engine.run(Self.request(Golden.prompts[0].ids))
            process = try #require(engine.placement.decode.parts.first?.library.isolated).process
        }
        #expect(kill(try #require(process), 0) != 0)
    }

    @Test("a child whose crash budget is used up gives a typed error in one line; the next engine works")
    func staysDown() throws {
        var isolation = Self.isolation()
        isolation.restart.budget = 0
        let device = StageDevices.Named(label: "a", driver: "cpu", isolation: isolation)
        let engine = try Engines.open(prefill: [device], decode: [device])
        let process = try #require(engine.placement.decode.parts.first?.library.process)
        kill(process, SIGKILL)
        do {
            _ = try engine.run(Self.request(Golden.prompts[0].ids))
            Issue.record("it ran on")
        } catch {
            #expect(error.kind == .driver && error.words.contains("crash budget of 0") && error.words.contains("device a"), "\(error)")
            #expect(!error.words.contains("\n"))
        }
    }

    @Test("while many requests run and the child is ended, each ends with the text of a calm run, and no block stays held")
    func serving() async throws {
        let prompts = Serving.prompts(6)
        let engine = try Serving.open(Self.device("a", "cpu"), Self.device("a", "cpu"), sequences: 4) { $0.schedule.keepsPrefixes = false }
        defer { engine.close() }
        var calm: [[Int32]] = []
        for prompt in prompts { calm.append(try await Serving.answer(engine, Serving.request(prompt, 12)).tokens) }
        let library = try #require(engine.placements[0].decode.parts.first?.library)
        let answers = prompts.map { prompt in Task { try await Serving.answer(engine, Serving.request(prompt, 12)) } }
        var isEnded = false
        for try await event in engine.generate(Serving.request(prompts[0], 12)) {
            guard case .piece = event, !isEnded, let process = library.process else { continue }
            isEnded = true
            kill(process, SIGKILL)
        }
        for (index, answer) in answers.enumerated() { #expect(try await answer.value.tokens == calm[index], "request \(index)") }
        await engine.drain()
        #expect(engine.metrics.failed == 0)
        #expect(Serving.heldBlocks(engine) == 0)
    }
}
