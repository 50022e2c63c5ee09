import Driver
import Model
public import Tokens

/// Runs requests over a placement: prompt -> prefill -> KV state -> handoff -> decode -> text. One request at a time, on one thread.
///
/// Aggregated and disaggregated are the same code: without a handoff, decode goes on with the KV state that prefill made.
public final class Engine {
    public let placement: Placement
    public let tokenizer: Tokenizer
    public let settings: Settings
    private let prefill: OpenStage
    private let decode: OpenStage
    /// Decode's pools are prefill's own storage.
    private let adopts: Bool
    private let filters: ForeignHooks
    private var logits: [Float] = []
    public var trace: Trace?
    /// For tests: may change a piece of KV between its checksum and the check of it.
    var tamper: (@Sendable (Int, UnsafeMutableRawBufferPointer) -> Void)?

    public struct Settings: Sendable {
        public var handoff = HandoffSettings()
        public var routing = Route.Mode.auto
        public init() {}
    }

    /// Opens every device of the placement, loads weights, compiles. Blocks. `progress` hears a device's name and a fraction of its work.
    public init(
        opening placement: Placement, tokenizer: Tokenizer, settings: Settings = Settings(), filters: ForeignHooks = ForeignHooks(),
        progress: (@Sendable (String, Double) -> Void)? = nil
    ) throws(EngineError) {
        if let problem = placement.problems.first { throw problem }
        var opener = StageOpener(model: placement.model, progress: progress)
        let first = try opener.open(placement.prefill)
        var sharesPools = false
        if placement.isAggregated {
            decode = first
        } else if placement.handoffs.allSatisfy(\.plan.adopts),
            let adopted = try? opener.open(placement.decode, adopting: first.parts, allocator: first.allocator)
        {
            decode = adopted
            sharesPools = true
        } else {
            decode = try opener.open(placement.decode)
        }
        prefill = first
        adopts = sharesPools
        self.placement = placement
        self.tokenizer = tokenizer
        self.settings = settings
        self.filters = filters
    }

    deinit { LostHandoffs.sweep(closing: [prefill, decode]) }

    /// Runs one request. `emit` hears text as it is certain, on this thread; what it heard in all is the report's text.
    /// - Throws: a typed error; all KV blocks have gone back then.
    public func run(_ request: Request, emit: (String) -> Void = { _ in }, progress: ((Int) -> Void)? = nil) throws(EngineError) -> RunReport {
        let maxTokens = try admit(request)
        var report = RunReport()
        report.promptTokens = request.prompt
        let began = WallClock.now
        let capacity = request.prompt.count + maxTokens
        var kv = try revived { () throws(EngineError) in try prefillAndHandOff(request.prompt, capacity: capacity, began, &report, progress) }
        var text = Completion(request, maxTokens: maxTokens, tokenizer: tokenizer, filters: filters)
        var steps = Decode(stage: decode, trace: trace)
        let decodeBegan = WallClock.now
        var finish = try text.next(&logits, emit)
        while finish == nil {
            do throws(EngineError) {
                try steps.step(text.last, &kv)
                finish = try decode.withLogits(rows: 1, &logits) { (row) throws(EngineError) in try text.next(row, emit) }
            } catch {
                guard error.isLost, settings.handoff.recomputes else { throw error }
                report.routeReason += "; its KV was computed again on a device opened anew: \(error)"
                try again(request.prompt + text.tokens, &kv)
                finish = try text.next(&logits, emit)
            }
        }
        report.text = text.text
        report.completionTokens = text.tokens
        report.finishReason = finish ?? .length
        report.hiddenBytes = prefill.hiddenBytes + (decode === prefill ? 0 : decode.hiddenBytes)
        report.stages.append(row("decode", decode, tokens: steps.steps, WallClock.now - decodeBegan, steps.modelled))
        return report
    }

    /// Runs `body` with the stages as they are or, where a driver's process has ended, opened anew; and once more for each such end, as far as the
    /// crash budget goes.
    private func revived<R: ~Copyable>(_ body: () throws(EngineError) -> R) throws(EngineError) -> R {
        while true {
            if decode.isLost { try decode.reopen() }
            if prefill !== decode, prefill.isLost { try? prefill.reopen() }
            do throws(EngineError) { return try body() } catch {
                guard error.isLost, settings.handoff.recomputes, decode.isLost || prefill.isLost else { throw error }
            }
        }
    }

    /// Computes the KV of `tokens`, of which decode had the most and lost it, and the logits of the last.
    private func again(_ tokens: [Int32], _ kv: inout KVState) throws(EngineError) {
        try revived { () throws(EngineError) in
            kv.tokens = 0
            _ = try Prefill(stage: decode, trace: trace).run(tokens, into: &kv, tokenStep: 1)
            try decode.readLogits(rows: 1, into: &logits)
        }
    }

    /// Log-probability of each token of `prompt` after its first, and the logits of its last position, from one prefill.
    public func score(_ prompt: [Int32]) throws(EngineError) -> Score {
        _ = try admit(Request(prompt: prompt, maxTokens: 0, sampling: .greedy))
        return try Scoring(stage: prefill).run(prompt)
    }

    /// What can be refused before anything runs. Gives the tokens there is room for.
    private func admit(_ request: Request) throws(EngineError) -> Int {
        let count = request.prompt.count
        guard count > 0 else { throw EngineError(.usage, "the prompt has no tokens; give it some text") }
        guard count <= placement.context else {
            throw EngineError(.usage, "the prompt has \(count) tokens and the context holds \(placement.context); shorten it or raise `context`")
        }
        let vocabulary = placement.model.hyperparameters.vocabulary
        if let odd = request.prompt.first(where: { $0 < 0 || $0 >= vocabulary }) {
            throw EngineError(.usage, "token id \(odd) is outside the model's vocabulary of \(vocabulary)")
        }
        return min(request.maxTokens, placement.context - count)
    }

    private func prefillAndHandOff(
        _ prompt: [Int32], capacity: Int, _ began: UInt64, _ report: inout RunReport, _ progress: ((Int) -> Void)?
    ) throws(EngineError) -> KVState {
        guard !placement.isAggregated else {
            (report.route, report.routeReason) = ("aggregated", "both stages are on one device")
            return try together(prefill, prompt, capacity, began, &report, progress)
        }
        let (route, reason) = Route.decide(settings.routing, settings.routing == .auto ? placement.estimate(promptTokens: prompt.count) : nil)
        (report.route, report.routeReason) = (route.rawValue, reason)
        if route == .aggregated { return try together(decode, prompt, capacity, began, &report, progress) }
        do throws(EngineError) {
            return try adopts ? adopted(prompt, capacity, began, &report, progress) : apart(prompt, capacity, began, &report, progress)
        } catch {
            guard settings.handoff.recomputes, error.kind == .handoff || error.kind == .driver, report.handoff != nil else { throw error }
            report.handoff?.recomputed = true
            report.routeReason += "; prefill was done again on the decode device: \(error)"
            return try together(decode, prompt, capacity, began, &report, progress)
        }
    }

    /// Prefill on the devices that decode: KV stays where it is.
    private func together(
        _ stage: OpenStage, _ prompt: [Int32], _ capacity: Int, _ began: UInt64, _ report: inout RunReport, _ progress: ((Int) -> Void)?
    ) throws(EngineError) -> KVState {
        var kv = try reserve(capacity, on: stage)
        let result = try Prefill(stage: stage, trace: trace).run(prompt, into: &kv, tokenStep: 1, progress: progress)
        try stage.readLogits(rows: 1, into: &logits)
        report.ttftPrefill = WallClock.now - began
        report.ttftUser = report.ttftPrefill
        report.stages.append(row("prefill", stage, tokens: prompt.count, report.ttftPrefill, result.modelled))
        return kv
    }

    /// Decode's pools are prefill's own: the KV state changes hands and no byte moves.
    private func adopted(
        _ prompt: [Int32], _ capacity: Int, _ began: UInt64, _ report: inout RunReport, _ progress: ((Int) -> Void)?
    ) throws(EngineError) -> KVState {
        let kv = try together(prefill, prompt, capacity, began, &report, progress)
        report.handoff = summary(HandoffFigures(), state: .adopted)
        return kv
    }

    /// Decode's blocks are reserved for the whole request before prefill runs; KV moves while it does.
    private func apart(
        _ prompt: [Int32], _ capacity: Int, _ began: UInt64, _ report: inout RunReport, _ progress: ((Int) -> Void)?
    ) throws(EngineError) -> KVState {
        report.handoff = summary(HandoffFigures(), state: .offered)
        var there = try reserve(capacity, on: decode)
        var here = try reserve(prompt.count, on: prefill)
        let handoff = try Handoff(
            links: placement.handoffs, from: prefill, to: decode, prefillBlocks: here.blocks, prefillGeneration: here.generation,
            decodeBlocks: there.blocks, generation: there.generation, tokens: capacity, settings: settings.handoff, trace: trace, tamper: tamper)
        defer {
            handoff.close()
            report.handoff = summary(handoff.figures, state: handoff.state)
        }
        var late: [(Int, UInt64, Range<Int>)] = []
        let overlaps = settings.handoff.overlapsLayers
        let result = try Prefill(stage: prefill, trace: trace).run(
            prompt, into: &here, tokenStep: placement.tokenStep,
            chunkReady: { (part: Int, base: UInt64, range: Range<Int>) throws(EngineError) in
                if overlaps { try handoff.drain(part: part, base: base, tokens: range) } else { late.append((part, base, range)) }
            }, progress: progress)
        try prefill.readLogits(rows: 1, into: &logits)
        report.ttftPrefill = WallClock.now - began
        for (part, base, range) in late { try handoff.drain(part: part, base: base, tokens: range) }
        try handoff.finish(wallEnd: result.wallEnd, modelledEnd: result.modelledEnd)
        report.ttftUser = WallClock.now - began
        there.tokens = prompt.count
        report.stages.append(row("prefill", prefill, tokens: prompt.count, report.ttftPrefill, result.modelled))
        return there
    }

    private func reserve(_ tokens: Int, on stage: OpenStage) throws(EngineError) -> KVState {
        do throws(HandoffAbort) { return try KVState(reserving: tokens, from: stage.allocator) } catch {
            throw EngineError(.usage, "stage \(stage.name): \(error); shorten the request or raise the device's memory")
        }
    }

    private func row(_ name: String, _ stage: OpenStage, tokens: Int, _ wall: UInt64, _ modelled: UInt64) -> RunReport.Stage {
        let devices = stage.parts.map(\.device)
        let isModelled = devices.contains { $0.info.clock == .modelled }
        return RunReport.Stage(
            stage: name, device: devices.map(\.label).joined(separator: "+"), driver: unique(devices.map(\.library.name)),
            engine: unique(devices.map(\.info.engine.rawValue)), tokens: tokens, wallNanoseconds: wall,
            modelledNanoseconds: isModelled ? modelled : nil, driverLayers: RunReport.driverLayers(devices))
    }

    private func unique(_ names: [String]) -> String { RunReport.unique(names) }

    private func summary(_ figures: HandoffFigures, state: HandoffState) -> RunReport.Handoff {
        RunReport.Handoff(figures, state, plans: placement.handoffs.map(\.plan), adopts: adopts)
    }
}
