import Driver
import Model

/// What a placement comes to, for `baton explain`: plain values, nothing opened. Times say their clock.
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
        public var parts: [Part]
    }
    public struct Handoff: Sendable, Encodable {
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
    public struct Time: Sendable, Encodable {
        public var what: String
        public var microseconds: Double
        /// "modelled", or "wall" for a driver's guess at wall time.
        public var clock: String
    }
    public var model: String
    public var layers, context, prompt_tokens: Int
    public var mode: String
    public var stages: [Stage]
    public var weight_conversions: [String]
    public var hops: [Hop]
    public var handoffs: [Handoff]
    public var times: [Time]
    public var route, route_reason: String
    public var problems: [String]

    public init(of placement: Placement, promptTokens: Int, routing: Route.Mode = .auto) {
        model = placement.model.name
        layers = placement.model.hyperparameters.layers
        context = placement.context
        prompt_tokens = promptTokens
        mode = placement.isAggregated ? "aggregated" : "disaggregated"
        stages = [Self.stage(placement.prefill, "prefill"), Self.stage(placement.decode, "decode")]
        weight_conversions = Self.conversions(placement)
        hops = Self.hops(placement.prefill, "prefill") + (placement.isAggregated ? [] : Self.hops(placement.decode, "decode"))
        handoffs = placement.handoffs.map { Self.handoff($0, placement, promptTokens) }
        times = Self.times(placement, promptTokens)
        problems = placement.problems.map(\.words)
        if placement.isAggregated {
            (route, route_reason) = ("aggregated", "both stages are on one device")
        } else {
            let decision = Route.decide(routing, placement.estimate(promptTokens: promptTokens))
            (route, route_reason) = (decision.route.rawValue, decision.reason)
        }
    }

    private static func stage(_ stage: PlacedStage, _ name: String) -> Stage {
        Stage(
            stage: name,
            parts: stage.parts.map { part in
                let all = stage.parts.count == 1
                return Part(
                    device: part.device.label, driver: part.library.name, engine: part.info.engine.rawValue, name: part.info.name,
                    layers: "\(part.layers.lowerBound)..<\(part.layers.upperBound)",
                    why: all ? "the manifest puts the stage here" : "the manifest splits the stage by layers over \(stage.parts.count) devices",
                    needed_bytes: part.need?.neededBytes, weight_bytes: part.need?.weightBytes, kv_bytes: part.need?.kvBytes,
                    workspace_bytes: part.need?.workspaceBytes, available_bytes: part.info.memoryBytes, fits: part.problem == nil,
                    kv_dtype: part.pool.dtype.description, kv_block_tokens: stage.blockTokens, chunk_tokens: stage.chunk,
                    driver_layers: part.library.layers.map(\.description))
            })
    }

    private static func hops(_ stage: PlacedStage, _ name: String) -> [Hop] {
        zip(stage.parts, stage.parts.dropFirst()).map { before, after in
            Hop(
                stage: name, from_device: before.device.label, to_device: after.device.label, after_layer: before.layers.upperBound - 1,
                bytes_per_token: before.outputWidth * 4)
        }
    }

    private static func conversions(_ placement: Placement) -> [String] {
        var seen: Set<String> = []
        return (placement.prefill.parts + placement.decode.parts).flatMap { part in
            part.converted.sorted { $0.key.rawValue < $1.key.rawValue }.map { "weights for \(part.device.label): the host makes \($0.key) into \($0.value)" }
        }.filter { seen.insert($0).inserted }
    }

    private static func handoff(_ link: HandoffLink, _ placement: Placement, _ tokens: Int) -> Handoff {
        Handoff(
            from_device: placement.prefill.parts[link.prefillPart].device.label, to_device: placement.decode.parts[link.decodePart].device.label,
            layers: "\(link.layers.lowerBound)..<\(link.layers.upperBound)", from_layout: link.plan.from.description,
            to_layout: link.plan.to.description, conversion: link.plan.description,
            wire_bytes: link.plan.adopts ? 0 : link.plan.wireBytes(tokens: tokens, layers: link.layers.count),
            import_bytes: link.plan.adopts ? 0 : link.plan.importBytes(tokens: tokens, layers: link.layers.count), copies: link.plan.copies,
            staged: !link.plan.adopts && !link.plan.conversion.isEmpty)
    }

    private static func times(_ placement: Placement, _ tokens: Int) -> [Time] {
        var times: [Time] = []
        func add(_ what: String, _ cost: Cost?) {
            guard let cost else { return }
            times.append(Time(what: what, microseconds: (Double(cost.nanoseconds) / 100).rounded() / 10, clock: cost.clock.rawValue))
        }
        add("prefill on \(placement.prefill.labels)", (try? placement.prefill.estimatePrefill(tokens: tokens)) ?? nil)
        for link in placement.handoffs where !link.plan.adopts {
            let (from, to) = (placement.prefill.parts[link.prefillPart], placement.decode.parts[link.decodePart])
            let out = UInt64(link.plan.wireBytes(tokens: tokens, layers: link.layers.count))
            let into = UInt64(link.plan.importBytes(tokens: tokens, layers: link.layers.count))
            add("KV export from \(from.device.label)", try? from.estimate(.kvExport(bytes: out, pieces: link.layers.count)))
            add("KV import to \(to.device.label)", try? to.estimate(.kvImport(bytes: into, pieces: link.layers.count)))
        }
        let hops = placement.decode.parts.count - 1
        let without = hops == 0 ? "" : ", without its \(hops == 1 ? "hop" : "\(hops) hops") through host memory"
        add("one decode step on \(placement.decode.labels)\(without)", (try? placement.decode.estimateStep(context: tokens)) ?? nil)
        if !placement.isAggregated { add("prefill on \(placement.decode.labels) instead", (try? placement.decode.estimatePrefill(tokens: tokens)) ?? nil) }
        return times
    }

    /// Lines of text for a picture of the graph: by stage, by "device:<name>", and "handoff".
    public var annotations: [String: [String]] {
        var lines: [String: [String]] = [:]
        for stage in stages {
            for part in stage.parts {
                lines["device:\(part.device)"] = [
                    "\(part.name), \(part.engine)",
                    "needs \(part.needed_bytes.map { ByteCount($0).description } ?? "?") of \(ByteCount(part.available_bytes))",
                ]
                lines[stage.stage, default: []].append(stage.parts.count > 1 ? "\(part.device): layers \(part.layers)" : "layers \(part.layers)")
            }
        }
        for time in times where time.what.hasPrefix("prefill on") && !time.what.hasSuffix("instead") {
            lines["prefill", default: []].append("\(prompt_tokens) tokens: \(time.microseconds) us \(time.clock)")
        }
        for time in times where time.what.hasPrefix("one decode") { lines["decode", default: []].append("a token: \(time.microseconds) us \(time.clock)") }
        if let first = handoffs.first {
            let bytes = handoffs.reduce(0) { $0 + $1.wire_bytes }
            lines["handoff"] = [first.conversion, "\(ByteCount(bytes)) for \(prompt_tokens) tokens"]
        }
        return lines
    }
}

extension PlacedStage {
    var labels: String { parts.map(\.device.label).joined(separator: "+") }
}
