import Driver
import Engine
import Model
import TestKit
import Testing
import Tokens

/// The real model against the independent fp32 reference.
@Suite(.enabled(if: TestModel.path != nil, "the real model is not there: run `baton model pull`"), .serialized)
struct GoldenTests {
    @Test("the reference has cases")
    func casesAreThere() { #expect(Golden.prompts.count >= 7) }

    /// Those that this processor has, the best included.
    private static let isas: [String] = ["scalar", "avx2", "avx512", "avx512bf16"].filter { isa in
        guard TestDrivers.has("cpu"), let library = try? TestDrivers.catalog().load("cpu") else { return false }
        return (try? library.describe(["isa": isa])) != nil
    }

    @Test("in f32 the last logits are the reference's within 2e-3 and the mean log-probability within 1e-4, in every instruction set", .enabled(if: TestDrivers.has("cpu")), arguments: isas)
    func exact(isa: String) throws {
        let engine = try Engines.cpu(numerics: "f32", isa: isa)
        for golden in Golden.prompts {
            #expect(engine.tokenizer.encode(golden.text) == golden.ids, "\(golden.name)")
            let score = try engine.score(golden.ids)
            for pair in golden.last_logits_top20 {
                let found = Double(score.lastLogits[Int(pair[0])])
                #expect(abs(found - pair[1]) < 2e-3, "\(golden.name): logit \(Int(pair[0])) is \(found), not \(pair[1])")
            }
            if let mean = golden.mean_logprob { #expect(abs((score.meanLogprob ?? 0) - mean) < 1e-4, "\(golden.name)") }
        }
    }

    @Test("in native, bf16 and f16 numerics the mean log-probability is near, in every instruction set", .enabled(if: TestDrivers.has("cpu")), arguments: ["native", "bf16", "f16"], isas)
    func near(numerics: String, isa: String) throws {
        try Engines.expectNear(Engines.cpu(numerics: numerics, isa: isa))
    }

    @Test("in native numerics greedy tokens are the reference's up to its first narrow choice", .enabled(if: TestDrivers.has("cpu")))
    func greedyNative() throws { try Engines.expectGreedy(Engines.cpu(numerics: "native")) }

    @Test("Trainium3 to CS-3: scores are near and greedy tokens are the reference's", .enabled(if: TestDrivers.has("trainium3") && TestDrivers.has("cs3") && TestDrivers.has("cpu")))
    func disaggregated() throws {
        let engine = try Engines.pair(.init(label: "trn", driver: "trainium3"), .init(label: "wse", driver: "cs3"))
        try Engines.expectNear(engine)
        let reports = try Engines.expectGreedy(engine)
        for report in reports {
            #expect(report.handoff?.state == "adopted")
            #expect(report.stages.allSatisfy { $0.modelledNanoseconds != nil && $0.engine == "model" })
        }
    }
}
