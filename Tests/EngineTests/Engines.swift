import Driver
@testable import Engine
import Model
import TestKit
import Testing
import Tokens

/// Engines over the real model, and what the reference asks of them.
enum Engines {
    static func open(prefill: [StageDevices.Named], decode: [StageDevices.Named], settings: Engine.Settings = .init(), wire: DType? = nil) throws -> Engine {
        let model = try TestModel.open()
        let placement = try Placement(
            model: model, prefill: StageDevices(stage: "prefill", devices: prefill), decode: StageDevices(stage: "decode", devices: decode),
            wire: wire, context: 1024, catalog: TestDrivers.catalog())
        return try Engine(opening: placement, tokenizer: TestModel.tokenizer(#require(model.file)), settings: settings)
    }

    static func cpu(numerics: String, isa: String = "auto") throws -> Engine {
        let host = [StageDevices.Named(label: "host", driver: "cpu", options: ["numerics": numerics, "isa": isa])]
        return try open(prefill: host, decode: host)
    }

    /// Two devices, always disaggregated.
    static func pair(_ prefill: StageDevices.Named, _ decode: StageDevices.Named..., settings: Engine.Settings = .init()) throws -> Engine {
        var settings = settings
        settings.routing = .disaggregated
        return try open(prefill: [prefill], decode: decode, settings: settings)
    }

    static func expectNear(_ engine: Engine) throws {
        for golden in Golden.prompts {
            guard let mean = golden.mean_logprob else { continue }
            let score = try engine.score(golden.ids)
            let limit = golden.ids.count >= 100 ? 0.02 : 0.05
            #expect(abs((score.meanLogprob ?? 0) - mean) < limit, "\(golden.name): \(score.meanLogprob ?? 0) against \(mean)")
        }
    }

    @discardableResult
    static func expectGreedy(_ engine: Engine) throws -> [RunReport] {
        try Golden.prompts.map { golden in
            let report = try engine.run(Request(prompt: golden.ids, maxTokens: 32, sampling: .greedy, obeysEnd: false))
            let sure = golden.greedy32_top1_gap.firstIndex { $0 < 0.5 } ?? 32
            #expect(Array(report.completionTokens.prefix(sure)) == Array(golden.greedy32.prefix(sure)), "\(golden.name)")
            #expect(report.completionTokens.count == 32)
            return report
        }
    }
}
