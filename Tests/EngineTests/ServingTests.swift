import Driver
@testable import Engine
import TestKit
import Testing
import Tokens

/// Many requests at once over the real model.
@Suite(.enabled(if: TestModel.path != nil && TestDrivers.has("cpu") && TestDrivers.has("trainium3") && TestDrivers.has("cs3"), "the real model or a driver is not there"), .serialized)
struct ServingTests {
    enum Way: String, CaseIterable, Sendable {
        case oneDevice, cpuToCPU, cpuToCPUCopied, trainiumToCS3

        var devices: (StageDevices.Named, StageDevices.Named) {
            switch self {
            case .oneDevice: (Serving.device("host", "cpu"), Serving.device("host", "cpu"))
            case .cpuToCPU: (Serving.device("a", "cpu", ["numerics": "bf16"]), Serving.device("b", "cpu", ["numerics": "bf16"]))
            case .cpuToCPUCopied: (Serving.device("a", "cpu", ["numerics": "bf16", "kv_dtype": "f32"]), Serving.device("b", "cpu", ["numerics": "bf16"]))
            case .trainiumToCS3: (Serving.device("trn", "trainium3"), Serving.device("wse", "cs3"))
            }
        }
        var mode: Route.Mode { self == .oneDevice ? .aggregated : .disaggregated }
    }

    private static func alone(_ way: Way, _ prompts: [[Int32]], _ count: Int, mode: Route.Mode) async throws -> [[Int32]] {
        let engine = try Serving.open(way.devices.0, way.devices.1, sequences: 1) { $0.schedule.keepsPrefixes = false }
        defer { engine.close() }
        var all: [[Int32]] = []
        for prompt in prompts { all.append(try await Serving.answer(engine, Serving.request(prompt, count, mode: mode)).tokens) }
        return all
    }

    @Test("1, 5 and 16 requests at once give the tokens of each alone, cached or not, in chunks or whole", arguments: Way.allCases)
    func sameUnderLoad(way: Way) async throws {
        let prompts = Serving.prompts(16)
        let expected = try await Self.alone(way, prompts, 12, mode: way.mode)
        let engine = try Serving.open(way.devices.0, way.devices.1) { $0.schedule.mixedTokens = 24 }
        defer { engine.close() }
        for count in [1, 5, 16] {
            let answers = try await Serving.answers(engine, prompts.prefix(count).map { Serving.request($0, 12, mode: way.mode) })
            #expect(answers.map(\.tokens) == Array(expected.prefix(count)), "\(count) at once")
            for answer in answers {
                #expect(answer.ended?.completionTokens == 12)
                #expect(answer.began?.route == way.mode.rawValue)
                if way == .trainiumToCS3 { #expect(answer.ended?.handoff?.state == "adopted") }
            }
        }
        let metrics = engine.metrics
        #expect(metrics.prefixHitTokens > 0)
        #expect(metrics.completed == 22 && metrics.running == 0 && metrics.queued == 0)
        #expect(Serving.heldBlocks(engine) == 0)
        #expect(metrics.ttftUser.count == 22 && metrics.interToken.count == 22 * 11)
    }

    @Test("a disaggregated engine serves the aggregated way as well, with the tokens of the decode device alone")
    func otherWay() async throws {
        let prompts = Serving.prompts(6)
        let way = Way.trainiumToCS3
        let expected = try await Self.alone(way, prompts, 8, mode: .aggregated)
        let apart = try await Self.alone(way, prompts, 8, mode: .disaggregated)
        let engine = try Serving.open(way.devices.0, way.devices.1)
        defer { engine.close() }
        for _ in 0..<2 {
            async let together = Serving.answers(engine, prompts.map { Serving.request($0, 8, mode: .aggregated) })
            async let others = Serving.answers(engine, prompts.map { Serving.request($0, 8, mode: .disaggregated) })
            #expect(try await together.map(\.tokens) == expected)
            #expect(try await others.map(\.tokens) == apart)
        }
        #expect(Serving.heldBlocks(engine) == 0)
    }

    @Test("preempted requests give the tokens of each alone", arguments: [Way.oneDevice, .cpuToCPU, .trainiumToCS3])
    func preempted(way: Way) async throws {
        let prompts = Serving.prompts(8).map { Array($0.prefix(20)) }
        let expected = try await Self.alone(way, prompts, 40, mode: way.mode)
        let engine = try Serving.open(way.devices.0, way.devices.1, kvTokens: 240) { $0.schedule.overcommits = true }
        defer { engine.close() }
        let answers = try await Serving.answers(engine, prompts.map { Serving.request($0, 40, mode: way.mode) })
        #expect(answers.map(\.tokens) == expected)
        #expect(engine.metrics.preempted > 0, "there was room for all, so that nothing was tried")
        #expect(Serving.heldBlocks(engine) == 0)
    }

    @Test("a second turn of a chat finds the first turn's KV")
    func secondTurn() async throws {
        let engine = try Serving.open(Way.oneDevice.devices.0, Way.oneDevice.devices.1)
        defer { engine.close() }
        let prompt = Serving.prompts(7).max { $0.count < $1.count } ?? []
        let first = try await Serving.answer(engine, Serving.request(prompt, 24))
        #expect(first.began?.cachedTokens == 0)
        let second = prompt + first.tokens + [198, 1, 2, 3]
        let answer = try await Serving.answer(engine, Serving.request(second, 8))
        #expect((answer.began?.cachedTokens ?? 0) >= (prompt.count + first.tokens.count) / 32 * 32 - 32)
        #expect(try await Self.alone(.oneDevice, [second], 8, mode: .aggregated) == [answer.tokens])
    }

    @Test("a request that is cancelled in the queue, in prefill, in handoff or in decode leaves no block used", arguments: [Way.oneDevice, .trainiumToCS3])
    func cancelled(way: Way) async throws {
        let engine = try Serving.open(way.devices.0, way.devices.1, sequences: 2)
        defer { engine.close() }
        let prompts = Serving.prompts(12)
        var dice = Dice(5)
        for round in 0..<4 {
            let tasks = prompts.map { prompt in Task { try? await Serving.answer(engine, Serving.request(prompt, 24, mode: way.mode)) } }
            for task in tasks {
                try await Task.sleep(for: .milliseconds(dice.below(round == 0 ? 1 : 25)))
                task.cancel()
            }
            for task in tasks { _ = await task.value }
        }
        await engine.drain()
        let metrics = engine.metrics
        #expect(metrics.cancelled > 0 && metrics.running == 0 && metrics.queued == 0)
        #expect(metrics.cancelled + metrics.completed == 48, "\(metrics.cancelled) and \(metrics.completed)")
        #expect(Serving.heldBlocks(engine) == 0)
        #expect(metrics.kv.allSatisfy { $0.quarantined == 0 })
    }

    @Test("a reader that stops reading cancels its request")
    func leaves() async throws {
        let engine = try Serving.open(Way.oneDevice.devices.0, Way.oneDevice.devices.1)
        defer { engine.close() }
        for try await event in engine.generate(Serving.request(Serving.prompts(1)[0], 400)) { if case .piece = event { break } }
        await engine.drain()
        #expect(engine.metrics.cancelled == 1)
        #expect(Serving.heldBlocks(engine) == 0)
    }

    @Test("a full queue refuses with `busy`; wrong requests are refused; a draining engine refuses what is new")
    func refused() async throws {
        let engine = try Serving.open(Way.oneDevice.devices.0, Way.oneDevice.devices.1, sequences: 1) { $0.schedule.maxQueued = 2 }
        defer { engine.close() }
        let prompt = Serving.prompts(1)[0]
        let tasks = (0..<8).map { _ in Task { try await Serving.answer(engine, Serving.request(prompt, 16)) } }
        var refusals: [EngineError] = []
        var answers: [[Int32]] = []
        for task in tasks {
            do { answers.append(try await task.value.tokens) } catch { if let error = error as? EngineError { refusals.append(error) } }
        }
        #expect(refusals.count == 5 && answers.count == 3)
        #expect(refusals.allSatisfy { $0.kind == .busy && ($0.retryAfter ?? 0) > 0 })
        #expect(Set(answers).count == 1)
        for wrong in [[], [-1], [1_000_000], [Int32](repeating: 5, count: 600)] {
            await #expect(throws: EngineError.self) { _ = try await Serving.answer(engine, Serving.request(wrong, 1)) }
        }
        await engine.drain()
        await #expect(throws: EngineError.self) { _ = try await Serving.answer(engine, Serving.request(prompt, 1)) }
        #expect(engine.metrics.refused == 6 && engine.metrics.rejected == 4)
    }

    @Test("log-probabilities are of the tokens made, and the likeliest come first")
    func logprobs() async throws {
        let engine = try Serving.open(Way.oneDevice.devices.0, Way.oneDevice.devices.1)
        defer { engine.close() }
        var request = Serving.request(Serving.prompts(1)[0], 6)
        request.topLogprobs = 3
        for try await event in engine.generate(request) {
            guard case .piece(let piece) = event else { continue }
            for token in piece.tokens {
                #expect(token.top.count == 3)
                #expect(token.top[0].id == token.id && token.top[0].logprob == token.logprob, "greedy takes the likeliest")
                #expect(token.top[0].logprob >= token.top[1].logprob && (token.logprob ?? 1) <= 0)
            }
        }
    }

    @Test("nothing to make is an answer without tokens")
    func empty() async throws {
        let engine = try Serving.open(Way.trainiumToCS3.devices.0, Way.trainiumToCS3.devices.1)
        defer { engine.close() }
        for (count, made) in [(0, 0), (1, 1)] {
            let answer = try await Serving.answer(engine, Serving.request(Serving.prompts(1)[0], count, mode: .disaggregated))
            #expect(answer.tokens.count == made && answer.ended?.completionTokens == made && answer.ended?.reason == .length)
        }
        #expect(Serving.heldBlocks(engine) == 0)
    }
}
