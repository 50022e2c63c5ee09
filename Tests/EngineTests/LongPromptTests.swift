import Driver
@testable import Engine
import TestKit
import Testing
import Tokens

/// Prompts of several chunks.
@Suite(.enabled(if: TestModel.path != nil && TestDrivers.has("cpu") && TestDrivers.has("trainium3") && TestDrivers.has("cs3"), "the model or a driver is not there"), .serialized)
struct LongPromptTests {
    private static func prompt(_ count: Int) -> [Int32] {
        var state: UInt64 = 7
        return (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int32(state >> 40) % 40_000 + 100
        }
    }

    @Test("a prompt of several chunks is handed over whole: a deadline that has passed aborts it, and the text is then recomputed")
    func deadline() throws {
        var settings = Engine.Settings()
        settings.routing = .disaggregated
        let devices = (StageDevices.Named(label: "trn", driver: "trainium3"), StageDevices.Named(label: "wse", driver: "cs3"))
        let prompt = Self.prompt(700)
        let whole = try Engines.open(prefill: [devices.0], decode: [devices.1], settings: settings)
        let request = Request(prompt: prompt, maxTokens: 4, sampling: .greedy, obeysEnd: false)
        let report = try whole.run(request)
        #expect(report.handoff?.state == "adopted")
        #expect(report.handoff.map { $0.pieces >= 60 } == true, "two chunks of thirty layers")
        settings.handoff = HandoffSettings(deadline: 1)
        let late = try Engines.open(prefill: [devices.0], decode: [devices.1], settings: settings)
        for _ in 0..<2 {
            let again = try late.run(request)
            #expect(again.handoff?.recomputed == true)
            #expect(again.handoff?.state.hasPrefix("aborted: deadline") == true, "\(again.handoff?.state ?? "")")
            #expect(again.completionTokens.count == 4)
        }
    }

    @Test("chunked prefill gives the scores of single tokens fed one after another")
    func chunked() throws {
        let engine = try Engines.cpu(numerics: "f32")
        let prompt = Self.prompt(40)
        let all = try engine.score(prompt)
        let report = try engine.run(Request(prompt: prompt, maxTokens: 1, sampling: .greedy, obeysEnd: false))
        #expect(Int32(all.top(1)[0].id) == report.completionTokens[0])
    }
}
