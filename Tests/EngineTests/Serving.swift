import Driver
@testable import Engine
import Model
import TestKit
import Tokens

/// Serving engines over the real model, and what comes of a stream.
enum Serving {
    struct Answer: Sendable {
        var tokens: [Int32] = []
        var text = ""
        var began: Generation.Began?
        var ended: Generation.Ended?
        var logprobs: [Float?] = []
    }

    static func device(_ label: String, _ driver: String, _ options: DriverOptions = [:], _ layers: [LayerName] = []) -> StageDevices.Named {
        StageDevices.Named(label: label, driver: driver, options: options, layers: layers)
    }

    static func placement(
        _ prefill: StageDevices.Named, _ decode: StageDevices.Named, sequences: Int = 16, kvTokens: Int? = nil
    ) throws -> Placement {
        try Placement(
            model: TestModel.open(), prefill: StageDevices(stage: "prefill", devices: [prefill]),
            decode: StageDevices(stage: "decode", devices: [decode]), context: 512, sequences: sequences, kvTokens: kvTokens,
            catalog: TestDrivers.catalog())
    }

    static func open(
        _ prefill: StageDevices.Named, _ decode: StageDevices.Named, sequences: Int = 16, kvTokens: Int? = nil,
        _ change: (inout ServingEngine.Settings) -> Void = { _ in }
    ) throws -> ServingEngine {
        try open([placement(prefill, decode, sequences: sequences, kvTokens: kvTokens)], change)
    }

    /// Each pair a way of its own.
    static func open(
        _ pairs: [(StageDevices.Named, StageDevices.Named)], sequences: Int = 16, _ change: (inout ServingEngine.Settings) -> Void = { _ in }
    ) throws -> ServingEngine {
        let stages = pairs.map { (StageDevices(stage: "prefill", devices: [$0]), StageDevices(stage: "decode", devices: [$1])) }
        return try open(Placement.all(model: TestModel.open(), pairs: stages, context: 512, sequences: sequences, catalog: TestDrivers.catalog()), change)
    }

    private static func open(_ placements: [Placement], _ change: (inout ServingEngine.Settings) -> Void) throws -> ServingEngine {
        var settings = ServingEngine.Settings()
        settings.handoff = HandoffSettings(deadline: 30_000_000_000)
        change(&settings)
        guard let file = placements.first?.model.file else { throw EngineError(.usage, "no weights") }
        return try ServingEngine(opening: placements, tokenizer: TestModel.tokenizer(file), settings: settings)
    }

    static func request(_ prompt: [Int32], _ maxTokens: Int, mode: Route.Mode? = nil) -> GenerationRequest {
        GenerationRequest(Request(prompt: prompt, maxTokens: maxTokens, sampling: .greedy, obeysEnd: false), mode: mode)
    }

    static func answer(_ engine: ServingEngine, _ request: GenerationRequest) async throws -> Answer {
        var answer = Answer()
        for try await event in engine.generate(request) {
            switch event {
            case .began(let began): answer.began = began
            case .piece(let piece):
                answer.text += piece.text
                answer.tokens += piece.tokens.map(\.id)
                answer.logprobs += piece.tokens.map(\.logprob)
            case .ended(let ended): answer.ended = ended
            }
        }
        return answer
    }

    /// All at once, answers in order.
    static func answers(_ engine: ServingEngine, _ requests: [GenerationRequest]) async throws -> [Answer] {
        try await withThrowingTaskGroup(of: (Int, Answer).self) { group in
            for (index, request) in requests.enumerated() { group.addTask { (index, try await answer(engine, request)) } }
            var all = [Answer](repeating: Answer(), count: requests.count)
            for try await (index, answer) in group { all[index] = answer }
            return all
        }
    }

    /// Prompts of several lengths, some of which begin alike.
    static func prompts(_ count: Int) -> [[Int32]] {
        var dice = Dice(11)
        let texts = Golden.prompts.map(\.ids).filter { $0.count >= 4 && $0.count < 200 }
        return (0..<count).map { index in
            let text = texts[index % texts.count]
            guard index >= texts.count else { return text }
            return text + (0..<3 + dice.below(20)).map { _ in Int32(100 + dice.below(40_000)) }
        }
    }

    /// Blocks held when nothing runs.
    static func heldBlocks(_ engine: ServingEngine) -> Int { engine.metrics.kv.reduce(0) { $0 + $1.used } }
}
