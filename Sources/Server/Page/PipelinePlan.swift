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
    struct Stage: Sendable, Encodable {
        var name: String
        var devices: [Device]
    }
    struct Handoff: Sendable, Encodable {
        var conversion: String
        var from: String
        var to: String
    }
    let stages: [Stage]
    /// Nil where one device does both.
    let handoff: Handoff?
    /// "auto", "disaggregated" or "aggregated".
    let routing: String

    public init(_ placement: Placement, routing: Route.Mode) {
        let stages = placement.isAggregated ? [("prefill+decode", placement.decode)] : [("prefill", placement.prefill), ("decode", placement.decode)]
        self.stages = stages.map { name, stage in Stage(name: name, devices: stage.parts.map(Self.device)) }
        handoff = placement.handoffs.first.map { link in
            Handoff(conversion: "\(link.plan)", from: "\(link.plan.from)", to: "\(link.plan.to)")
        }
        self.routing = routing.rawValue
    }

    private static func device(_ part: PlacedPart) -> Device {
        Device(
            name: part.device.label, driver: part.library.name, engine: part.info.engine.rawValue, clock: part.info.clock.rawValue,
            layers: part.layers.isEmpty ? "none" : "\(part.layers.lowerBound)-\(part.layers.upperBound - 1)")
    }
}
