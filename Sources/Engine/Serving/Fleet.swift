import Driver
import Model

/// The stages of several placements, each open once, and how they pair. A stage is known by its devices and their layers: one that prefills in
/// one placement and does both in another is one stage.
struct Fleet {
    private(set) var stages: [OpenStage] = []
    private(set) var scheduled: [Schedule.Stage] = []
    private(set) var pairs: [Schedule.Pair] = []
    private(set) var ledgers: [BlockLedger] = []
    private var links: [[HandoffLink]] = []
    private var numbers: [PlacedStage.Key: Int] = [:]
    /// The first pair of each kind of arithmetic.
    private var arithmetics: [Placement.Arithmetic: Int] = [:]

    init(opening placements: [Placement], progress: (@Sendable (String, Double) -> Void)?) throws(EngineError) {
        guard let first = placements.first else { return }
        var opener = StageOpener(model: first.model, progress: progress)
        let roles = Self.roles(placements)
        for placement in placements {
            if let problem = placement.problems.first { throw problem }
            guard placement.model.path == first.model.path else {
                throw EngineError(.usage, "one engine serves one model, and there are \(first.model.path) and \(placement.model.path); open an engine for each")
            }
            try add(placement, roles, &opener, isAlone: placements.count == 1)
        }
    }

    /// What each stage does in all the placements together: "prefill", "decode" or "prefill+decode".
    private static func roles(_ placements: [Placement]) -> [PlacedStage.Key: String] {
        let prefills = Set(placements.map(\.prefill.key)), decodes = Set(placements.map(\.decode.key))
        let named = prefills.union(decodes).map { ($0, [prefills.contains($0) ? "prefill" : nil, decodes.contains($0) ? "decode" : nil]) }
        return Dictionary(uniqueKeysWithValues: named.map { ($0, $1.compactMap(\.self).joined(separator: "+")) })
    }

    private mutating func add(
        _ placement: Placement, _ roles: [PlacedStage.Key: String], _ opener: inout StageOpener, isAlone: Bool
    ) throws(EngineError) {
        let adopts = isAlone && !placement.isAggregated && placement.handoffs.allSatisfy(\.plan.adopts)
        let prefill = try number(placement.prefill, placement, roles, &opener, adopting: nil)
        let decode = placement.isAggregated ? prefill : try number(placement.decode, placement, roles, &opener, adopting: adopts ? prefill : nil)
        let first = arithmetics[placement.arithmetic] ?? pairs.count
        arithmetics[placement.arithmetic] = first
        pairs.append(
            Schedule.Pair(
                prefill: prefill, decode: decode, tokenStep: placement.tokenStep, isUniform: placement.isUniform,
                importCost: placement.isAggregated ? nil : placement.importCurve(), arithmetic: first))
        links.append(placement.handoffs)
    }

    private mutating func number(
        _ placed: PlacedStage, _ placement: Placement, _ roles: [PlacedStage.Key: String], _ opener: inout StageOpener, adopting sharer: Int?
    ) throws(EngineError) -> Int {
        if let there = numbers[placed.key] { return there }
        var open: OpenStage?
        var ledger = ledgers.count
        if let sharer, let adopted = try? opener.open(placed, adopting: stages[sharer].parts, allocator: stages[sharer].allocator) {
            (open, ledger) = (adopted, scheduled[sharer].ledger)
        } else {
            ledgers.append(BlockLedger(blockCount: placed.blockCount, blockTokens: placed.blockTokens))
        }
        let stage: OpenStage
        if let open { stage = open } else { stage = try opener.open(placed) }
        numbers[placed.key] = stages.count
        stages.append(stage)
        scheduled.append(
            Schedule.Stage(
                name: roles[placed.key] ?? placed.name, devices: placed.labels, ledger: ledger, maxTokens: placed.chunk,
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
    /// What KV is made of that prefill hands over: drivers that are the same, with the same options, and the same conversions make the same values.
    struct Arithmetic: Hashable {
        var makers: [Maker]
        var conversions: [String]
        struct Maker: Hashable {
            var driver: String
            var options: DriverOptions
        }
    }
    var arithmetic: Arithmetic {
        Arithmetic(makers: prefill.parts.map { .init(driver: $0.library.name, options: $0.device.options) }, conversions: handoffs.map(\.plan.description))
    }

    /// Both stages compute the same numbers: one driver with the same options, and KV that is not rounded on its way.
    var isUniform: Bool {
        guard !isAggregated else { return true }
        let all = prefill.parts + decode.parts
        guard let first = all.first else { return true }
        return all.allSatisfy { $0.library.name == first.library.name && $0.device.options == first.device.options }
            && handoffs.allSatisfy { !$0.plan.conversion.contains(.cast) }
    }
}
