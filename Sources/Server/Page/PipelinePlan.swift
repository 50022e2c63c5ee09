public import Engine
internal import Driver

/// Stages, devices and handoff as the page draws them; fixed while the server runs.
public struct PipelinePlan: Sendable, Encodable {
    struct Device: Sendable, Encodable {
        var name: String
        var driver: String
        /// "silicon", "model" or "reference".
        var engine: String
        /// "wall" or "modelled".
        var clock: String
        /// As in "0-29".
        var layers: String
    }
    /// A whole stage on devices of its own; a request goes through one of each stage.
    struct Replica: Sendable, Encodable {
        var devices: [Device]
    }
    struct Stage: Sendable, Encodable {
        var name: String
        var replicas: [Replica]
    }
    /// A way that KV takes between devices; alike for all pairs of replicas that are alike.
    struct Handoff: Sendable, Hashable, Encodable {
        var conversion: String
        var from: String
        var to: String
    }
    let stages: [Stage]
    /// Each once; none where one device does both.
    let handoffs: [Handoff]
    /// "auto", "disaggregated" or "aggregated".
    let routing: String

    public init(_ placements: [Placement], routing: Route.Mode) {
        let apart = placements.filter { !$0.isAggregated }
        stages = apart.isEmpty
            ? [Self.stage("prefill+decode", placements.map(\.decode))]
            : [Self.stage("prefill", placements.map(\.prefill)), Self.stage("decode", placements.map(\.decode))]
        var seen: Set<Handoff> = []
        handoffs = apart.flatMap(\.handoffs).map { Handoff(conversion: "\($0.plan)", from: "\($0.plan.from)", to: "\($0.plan.to)") }
            .filter { seen.insert($0).inserted }
        self.routing = routing.rawValue
    }

    private static func stage(_ name: String, _ placed: [PlacedStage]) -> Stage {
        Stage(name: name, replicas: PlacedStage.distinct(placed).map { Replica(devices: $0.parts.map(device)) })
    }

    private static func device(_ part: PlacedPart) -> Device {
        Device(
            name: part.device.label, driver: part.library.name, engine: part.info.engine.rawValue, clock: part.info.clock.rawValue,
            layers: part.layers.isEmpty ? "none" : "\(part.layers.lowerBound)-\(part.layers.upperBound - 1)")
    }
}
