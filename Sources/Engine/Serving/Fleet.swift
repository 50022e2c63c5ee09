import Driver
import Model

/// The stages of several placements, each open once, and how they pair.
struct Fleet {
    private(set) var stages: [OpenStage] = []
    private(set) var scheduled: [Schedule.Stage] = []
    private(set) var pairs: [Schedule.Pair] = []
    private(set) var ledgers: [BlockLedger] = []
    private var links: [[HandoffLink]] = []
    /// By role and devices.
    private var numbers: [String: Int] = [:]

    init(opening placements: [Placement], progress: (@Sendable (String, Double) -> Void)?) throws(EngineError) {
        guard let first = placements.first else { return }
        var opener = StageOpener(model: first.model, progress: progress)
        for placement in placements {
            if let problem = placement.problems.first { throw problem }
            guard placement.model.path == first.model.path else {
                throw EngineError(.usage, "one engine serves one model, and there are \(first.model.path) and \(placement.model.path); open an engine for each")
            }
            try add(placement, &opener, isAlone: placements.count == 1)
        }
    }

    private mutating func add(_ placement: Placement, _ opener: inout StageOpener, isAlone: Bool) throws(EngineError) {
        let adopts = isAlone && !placement.isAggregated && placement.handoffs.allSatisfy(\.plan.adopts)
        let prefill = try number(placement.isAggregated ? "decode" : "prefill", placement.prefill, placement, &opener, adopting: nil)
        let decode = placement.isAggregated ? prefill : try number("decode", placement.decode, placement, &opener, adopting: adopts ? prefill : nil)
        pairs.append(
            Schedule.Pair(
                prefill: prefill, decode: decode, tokenStep: placement.tokenStep, isUniform: placement.isUniform,
                importCost: placement.isAggregated ? nil : placement.importCurve()))
        links.append(placement.handoffs)
    }

    private mutating func number(
        _ role: String, _ placed: PlacedStage, _ placement: Placement, _ opener: inout StageOpener, adopting sharer: Int?
    ) throws(EngineError) -> Int {
        let name = role + ":" + placed.parts.map { "\($0.device.label)[\($0.layers)]" }.joined(separator: "+")
        if let there = numbers[name] { return there }
        var open: OpenStage?
        var ledger = ledgers.count
        if let sharer, let adopted = try? opener.open(placed, adopting: stages[sharer].parts, allocator: stages[sharer].allocator) {
            (open, ledger) = (adopted, scheduled[sharer].ledger)
        } else {
            ledgers.append(BlockLedger(blockCount: placed.blockCount, blockTokens: placed.blockTokens))
        }
        let stage: OpenStage
        if let open { stage = open } else { stage = try opener.open(placed) }
        numbers[name] = stages.count
        stages.append(stage)
        scheduled.append(
            Schedule.Stage(
                name: placement.isAggregated ? "prefill+decode" : role, ledger: ledger, maxTokens: placed.chunk,
                maxSequences: placed.parts.map(\.limits.sequences).min() ?? 1, prefillCost: placed.prefillCurve(context: placement.context)))
        return stages.count - 1
    }

    /// The ways that KV takes from a stage to stages that do not see its memory.
    func ways(from index: Int) -> [Int: StageRunner.Way] {
        var ways: [Int: StageRunner.Way] = [:]
        for (number, pair) in pairs.enumerated() where pair.prefill == index && scheduled[pair.decode].ledger != scheduled[index].ledger {
            ways[number] = StageRunner.Way(links: links[number], decode: stages[pair.decode], index: pair.decode)
        }
        return ways
    }
}

extension Placement {
    /// Both stages compute the same numbers: one driver with the same options, and KV that is not rounded on its way.
    var isUniform: Bool {
        guard !isAggregated else { return true }
        let all = prefill.parts + decode.parts
        guard let first = all.first else { return true }
        return all.allSatisfy { $0.library.name == first.library.name && $0.device.options == first.device.options }
            && handoffs.allSatisfy { !$0.plan.conversion.contains(.cast) }
    }
}
