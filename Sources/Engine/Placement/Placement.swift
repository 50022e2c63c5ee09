public import Driver
public import Model

/// Where each stage of a graph goes, proven before any device is opened: layers, programs, KV pools, memory, and the handoff's conversion.
/// Drivers are loaded and asked (`describe`, `baton.cost`, `baton.kv` layouts); no device is touched.
public struct Placement: Sendable {
    public let model: ModelFile
    public let prefill: PlacedStage
    public let decode: PlacedStage
    /// One for each prefill part and decode part that share layers; empty when both stages are one.
    public let handoffs: [HandoffLink]
    /// Tokens of one request at most, prompt and completion.
    public let context: Int
    /// Why it cannot run; empty when it can. Kept rather than thrown so that `explain` can show all of them.
    public internal(set) var problems: [EngineError]

    /// Prefill and decode are on the same parts, so KV stays where it is.
    public var isAggregated: Bool { handoffs.isEmpty }
    /// Tokens between two points where both sides' blocks begin.
    public var tokenStep: Int { handoffs.map(\.plan.tokenStep).reduce(1) { $0 / Self.divisor($0, $1) * $1 } }

    /// - Parameters:
    ///   - prefill, decode: which devices, as the graph names them.
    ///   - wire: the dtype the manifest asks for on the wire, nil for automatic.
    ///   - context: from the manifest; nil for the model's own.
    ///   - sequences: requests of one batch at most, as far as the devices take them.
    ///   - kvTokens: tokens of KV that each stage has room for; nil for `sequences` whole contexts.
    public init(
        model: ModelFile, prefill: StageDevices, decode: StageDevices, wire: DType? = nil, context: Int? = nil,
        sequences: Int = 1, kvTokens: Int? = nil, catalog: DriverCatalog
    ) throws(EngineError) {
        var placed = PlacedStages(model: model, context: context, sequences: sequences, kvTokens: kvTokens, catalog: catalog)
        try self.init(prefill, decode, wire, &placed)
    }

    /// Several ways for the requests of one model, in their order; each stage is placed once.
    public static func all(
        model: ModelFile, pairs: [(prefill: StageDevices, decode: StageDevices)], wire: DType? = nil, context: Int? = nil, sequences: Int = 1,
        kvTokens: Int? = nil, catalog: DriverCatalog
    ) throws(EngineError) -> [Placement] {
        var placed = PlacedStages(model: model, context: context, sequences: sequences, kvTokens: kvTokens, catalog: catalog)
        var all: [Placement] = []
        for pair in pairs { all.append(try Placement(pair.prefill, pair.decode, wire, &placed)) }
        return all
    }

    private init(_ prefill: StageDevices, _ decode: StageDevices, _ wire: DType?, _ placed: inout PlacedStages) throws(EngineError) {
        let same = prefill.devices == decode.devices && prefill.split == decode.split
        let target = try placed.stage(decode)
        let source = same ? target : try placed.stage(prefill)
        model = placed.model
        self.decode = target
        self.prefill = source
        context = placed.context
        var problems: [EngineError] = []
        do throws(EngineError) {
            handoffs = same ? [] : try Self.links(source, target, wire)
        } catch {
            handoffs = []
            problems.append(error)
        }
        for part in (same ? [] : source.parts) + target.parts { problems += part.problem.map { [$0] } ?? [] }
        self.problems = problems
    }

    private static func links(_ prefill: PlacedStage, _ decode: PlacedStage, _ wire: DType?) throws(EngineError) -> [HandoffLink] {
        var links: [HandoffLink] = []
        for (i, from) in prefill.parts.enumerated() {
            for (j, to) in decode.parts.enumerated() where from.layers.overlaps(to.layers) {
                let plan = try HandoffPlan(
                    exports: try from.layouts(importing: false), imports: try to.layouts(importing: true), wire: wire,
                    sharesMemory: from.info.engine != .model && to.info.engine != .model && from.layers == to.layers)
                links.append(HandoffLink(prefillPart: i, decodePart: j, layers: from.layers.clamped(to: to.layers), plan: plan))
            }
        }
        return links
    }

    private static func divisor(_ a: Int, _ b: Int) -> Int { b == 0 ? a : divisor(b, a % b) }
}

/// The stages of several placements, each placed when it is first asked for.
private struct PlacedStages {
    let model: ModelFile
    let context: Int
    private let sequences: Int
    private let kvTokens: Int?
    private let catalog: DriverCatalog
    private var stages: [StageDevices: PlacedStage] = [:]

    init(model: ModelFile, context: Int?, sequences: Int, kvTokens: Int?, catalog: DriverCatalog) {
        self.model = model
        self.context = min(context ?? model.hyperparameters.contextLength, model.hyperparameters.contextLength)
        (self.sequences, self.kvTokens, self.catalog) = (sequences, kvTokens, catalog)
    }

    mutating func stage(_ devices: StageDevices) throws(EngineError) -> PlacedStage {
        if let there = stages[devices] { return there }
        let placed = try PlacedStage(devices, model, context: context, sequences: sequences, kvTokens: kvTokens, catalog)
        stages[devices] = placed
        return placed
    }
}

/// A way that KV takes from one part of prefill to one part of decode.
public struct HandoffLink: Sendable {
    public let prefillPart: Int
    public let decodePart: Int
    public let layers: Range<Int>
    public let plan: HandoffPlan
}

/// The devices of a stage as the manifest names them.
public struct StageDevices: Sendable, Hashable {
    public struct Named: Sendable, Hashable {
        /// The manifest's name for the device.
        public var label: String
        /// A driver's name or absolute path.
        public var driver: String
        public var options: DriverOptions
        /// Layers around its driver, outermost first.
        public var layers: [LayerName]
        /// Nil: the driver runs in this process.
        public var isolation: Isolation?

        public init(label: String, driver: String, options: DriverOptions = [:], layers: [LayerName] = [], isolation: Isolation? = .ofEnvironment) {
            self.isolation = isolation
            self.label = label
            self.driver = driver
            self.options = options
            self.layers = layers
        }
    }
    public var stage: String
    public var devices: [Named]
    /// Layers for each device; nil for as even as can be.
    public var split: [Int]?

    public init(stage: String, devices: [Named], split: [Int]? = nil) {
        self.stage = stage
        self.devices = devices
        self.split = split
    }

    /// The layers of each device.
    func ranges(of layers: Int) throws(EngineError) -> [Range<Int>] {
        let even = devices.indices.map { layers / devices.count + ($0 < layers % devices.count ? 1 : 0) }
        let counts = split ?? even
        guard counts.count == devices.count, counts.reduce(0, +) == layers, counts.allSatisfy({ $0 > 0 }) else {
            throw EngineError(
                .placement,
                "stage \(stage): split \(counts) over \(devices.count) devices does not add up to the model's \(layers) layers; give each device at least one")
        }
        var ranges: [Range<Int>] = []
        for count in counts { ranges.append((ranges.last?.upperBound ?? 0)..<((ranges.last?.upperBound ?? 0) + count)) }
        return ranges
    }
}
