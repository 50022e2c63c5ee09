import Driver
import Model

/// What the placements of a manifest come to, for `baton explain`: plain values, nothing opened. Times say their clock.
public struct Explanation: Sendable, Encodable {
    public struct Part: Sendable, Encodable {
        public var device, driver, engine, name, layers, why: String
        public var needed_bytes: UInt64?
        public var weight_bytes, kv_bytes, workspace_bytes: UInt64?
        public var available_bytes: UInt64
        public var fits: Bool
        public var kv_dtype: String
        public var kv_block_tokens, chunk_tokens: Int
        /// Around the driver, outermost first.
        public var driver_layers: [String]
    }
    public struct Stage: Sendable, Encodable {
        public var stage: String
        /// From 1; a stage without replicas has one.
        public var replica: Int
        public var parts: [Part]
    }
    /// A way of a request: the devices of each stage, as "wse0+wse1".
    public struct Pair: Sendable, Encodable {
        public var prefill, decode, mode: String
    }
    public struct Handoff: Sendable, Encodable {
        /// Which of `pairs`, from 1.
        public var pair: Int
        public var from_device, to_device, layers, from_layout, to_layout, conversion: String
        public var wire_bytes, import_bytes, copies: Int
        /// The bytes are converted in host memory on their way.
        public var staged: Bool
    }
    /// Where a stage that is split by layers goes from one device to the next.
    public struct Hop: Sendable, Encodable {
        public var stage, from_device, to_device: String
        /// The last layer before the hop.
        public var after_layer: Int
        /// Hidden states in f32, for each token of a batch: out of one device and into the next, through host memory.
        public var bytes_per_token: Int
    }
    public struct Time: Sendable, Hashable, Encodable {
        public var what: String
        public var microseconds: Double
        /// "modelled", or "wall" for a driver's guess at wall time.
        public var clock: String
    }
    public var model: String
    public var layers, context, prompt_tokens: Int
    public var mode: String
    public var stages: [Stage]
    public var pairs: [Pair]
    public var weight_conversions: [String]
    public var hops: [Hop]
    public var handoffs: [Handoff]
    public var times: [Time]
    public var route, route_reason: String
    public var problems: [String]

    /// Of one placement, or of several of one model, as replicas make them.
    public init(of first: Placement, and others: [Placement] = [], promptTokens: Int, routing: Route.Mode = .auto) {
        let placements = [first] + others
        model = first.model.name
        layers = first.model.hyperparameters.layers
        context = first.context
        prompt_tokens = promptTokens
        let apart = placements.filter { !$0.isAggregated }
        mode = apart.isEmpty ? "aggregated" : "disaggregated"
        let (prefills, decodes) = (PlacedStage.distinct(placements.map(\.prefill)), PlacedStage.distinct(placements.map(\.decode)))
        stages = Self.stages(prefills, "prefill") + Self.stages(decodes, "decode")
        pairs = placements.map { Pair(prefill: $0.prefill.labels, decode: $0.decode.labels, mode: $0.isAggregated ? "aggregated" : "disaggregated") }
        weight_conversions = Self.conversions(prefills + decodes)
        let inPrefill = Set(prefills.map(\.key))
        hops = prefills.flatMap { Self.hops($0, "prefill") } + decodes.filter { !inPrefill.contains($0.key) }.flatMap { Self.hops($0, "decode") }
        handoffs = placements.enumerated().flatMap { index, placement in
            placement.handoffs.map { Self.handoff($0, placement, pair: index + 1, promptTokens) }
        }
        times = Self.times(placements, promptTokens)
        problems = placements.flatMap { $0.problems.map(\.words) }.distinct
        if let one = apart.first {
            let decision = Route.decide(routing, one.estimate(promptTokens: promptTokens))
            (route, route_reason) = (decision.route.rawValue, decision.reason)
        } else {
            (route, route_reason) = ("aggregated", "both stages are on one device")
        }
    }

    private static func stages(_ replicas: [PlacedStage], _ name: String) -> [Stage] {
        replicas.enumerated().map { index, stage in
            Stage(stage: name, replica: index + 1, parts: stage.parts.map { part($0, of: stage, replicas.count > 1 ? "replica \(index + 1) of \(replicas.count)" : nil) })
        }
    }

    private static func part(_ part: PlacedPart, of stage: PlacedStage, _ replica: String?) -> Part {
        let why = stage.parts.count == 1 ? "the manifest puts the stage here" : "the manifest splits the stage by layers over \(stage.parts.count) devices"
        return Part(
            device: part.device.label, driver: part.library.name, engine: part.info.engine.rawValue, name: part.info.name,
            layers: "\(part.layers.lowerBound)..<\(part.layers.upperBound)", why: replica.map { "\(why), \($0)" } ?? why,
            needed_bytes: part.need?.neededBytes, weight_bytes: part.need?.weightBytes, kv_bytes: part.need?.kvBytes,
            workspace_bytes: part.need?.workspaceBytes, available_bytes: part.info.memoryBytes, fits: part.problem == nil,
            kv_dtype: part.pool.dtype.description, kv_block_tokens: stage.blockTokens, chunk_tokens: stage.chunk,
            driver_layers: part.library.layers.map(\.description))
    }

    private static func hops(_ stage: PlacedStage, _ name: String) -> [Hop] {
        zip(stage.parts, stage.parts.dropFirst()).map { before, after in
            Hop(
                stage: name, from_device: before.device.label, to_device: after.device.label, after_layer: before.layers.upperBound - 1,
                bytes_per_token: before.outputWidth * 4)
        }
    }

    private static func conversions(_ stages: [PlacedStage]) -> [String] {
        stages.flatMap(\.parts).flatMap { part in
            part.converted.sorted { $0.key.rawValue < $1.key.rawValue }.map { "weights for \(part.device.label): the host makes \($0.key) into \($0.value)" }
        }.distinct
    }

    private static func handoff(_ link: HandoffLink, _ placement: Placement, pair: Int, _ tokens: Int) -> Handoff {
        Handoff(
            pair: pair, from_device: placement.prefill.parts[link.prefillPart].device.label, to_device: placement.decode.parts[link.decodePart].device.label,
            layers: "\(link.layers.lowerBound)..<\(link.layers.upperBound)", from_layout: link.plan.from.description,
            to_layout: link.plan.to.description, conversion: link.plan.description,
            wire_bytes: link.plan.adopts ? 0 : link.plan.wireBytes(tokens: tokens, layers: link.layers.count),
            import_bytes: link.plan.adopts ? 0 : link.plan.importBytes(tokens: tokens, layers: link.layers.count), copies: link.plan.copies,
            staged: !link.plan.adopts && !link.plan.conversion.isEmpty)
    }

    private static func times(_ placements: [Placement], _ tokens: Int) -> [Time] {
        var times: [Time] = []
        // What another pair has said is not said again; the links of one pair are each their own.
        var said: Set<Time> = []
        func next() { said.formUnion(times) }
        func add(_ what: String, _ cost: Cost?) {
            guard let cost else { return }
            let time = Time(what: what, microseconds: (Double(cost.nanoseconds) / 100).rounded() / 10, clock: cost.clock.rawValue)
            if !said.contains(time) { times.append(time) }
        }
        for placement in placements {
            add("prefill on \(placement.prefill.labels)", (try? placement.prefill.estimatePrefill(tokens: tokens)) ?? nil)
            next()
        }
        for placement in placements {
            for link in placement.handoffs where !link.plan.adopts {
                let (from, bytes) = (placement.prefill.parts[link.prefillPart], link.plan.wireBytes(tokens: tokens, layers: link.layers.count))
                add("KV export from \(from.device.label)", try? from.estimate(.kvExport(bytes: UInt64(bytes), pieces: link.layers.count)))
            }
            next()
        }
        for placement in placements {
            for link in placement.handoffs where !link.plan.adopts {
                let (to, bytes) = (placement.decode.parts[link.decodePart], link.plan.importBytes(tokens: tokens, layers: link.layers.count))
                add("KV import to \(to.device.label)", try? to.estimate(.kvImport(bytes: UInt64(bytes), pieces: link.layers.count)))
            }
            next()
        }
        for decode in PlacedStage.distinct(placements.map(\.decode)) {
            let hops = decode.parts.count - 1
            let without = hops == 0 ? "" : ", without its \(hops == 1 ? "hop" : "\(hops) hops") through host memory"
            add("one decode step on \(decode.labels)\(without)", (try? decode.estimateStep(context: tokens)) ?? nil)
        }
        for placement in placements where !placement.isAggregated {
            add("prefill on \(placement.decode.labels) instead", (try? placement.decode.estimatePrefill(tokens: tokens)) ?? nil)
            next()
        }
        return times
    }

    /// Lines of text for a picture of the graph: by stage, by "device:<name>", and "handoff".
    public var annotations: [String: [String]] {
        var lines: [String: [String]] = [:]
        // What replicas have in common is said once.
        func add(_ name: String, _ line: String) { if lines[name]?.contains(line) != true { lines[name, default: []].append(line) } }
        for stage in stages {
            for part in stage.parts {
                lines["device:\(part.device)"] = [
                    "\(part.name), \(part.engine)",
                    "needs \(part.needed_bytes.map { ByteCount($0).description } ?? "?") of \(ByteCount(part.available_bytes))",
                ]
                add(stage.stage, stage.parts.count > 1 ? "\(part.device): layers \(part.layers)" : "layers \(part.layers)")
            }
        }
        for time in times where time.what.hasPrefix("prefill on") && !time.what.hasSuffix("instead") {
            add("prefill", "\(prompt_tokens) tokens: \(time.microseconds) us \(time.clock)")
        }
        for time in times where time.what.hasPrefix("one decode") { add("decode", "a token: \(time.microseconds) us \(time.clock)") }
        if let first = handoffs.first {
            let bytes = handoffs.filter { $0.pair == first.pair }.reduce(0) { $0 + $1.wire_bytes }
            lines["handoff"] = [first.conversion, "\(ByteCount(bytes)) for \(prompt_tokens) tokens"]
        }
        return lines
    }
}

extension Array where Element: Hashable {
    /// Each once, in the order in which they first come.
    var distinct: [Element] {
        var seen: Set<Element> = []
        return filter { seen.insert($0).inserted }
    }
}
