// SPDX-License-Identifier: Apache-2.0

/// A manifest proven sound: every stage has what it takes, every device is declared, types meet along every edge, and the only loop is that of
/// decoding. A value, free to copy and to send.
public struct Graph: Hashable, Sendable {
    public enum Mode: String, Hashable, Sendable {
        /// Prefill and decode on the same devices; KV state stays where it is.
        case aggregated
        /// On different ones; KV state is handed off.
        case disaggregated
    }

    public struct Node: Hashable, Sendable {
        public let name: String
        public let kind: Manifest.StageKind
        /// Prefill and decode: at least one. Others run on the host: none.
        public let replicas: [Replica]
        /// Set exactly when `kind` is foreign.
        public let foreign: Manifest.Foreign?
        /// False for a stage that the manifest leaves to the default.
        public let isWritten: Bool
        /// Nil for a default.
        public let position: SourcePosition?

        /// Those of all replicas, each once.
        public var devices: [Manifest.Device] { replicas.flatMap(\.devices) }
        var step: Step { Step(kind, foreign?.hook.value) }
        public var inputs: [PortType] { step.inputs }
        public var outputs: [PortType] { step.outputs }
    }

    /// A whole stage on devices of its own; a request goes through one of each stage.
    public struct Replica: Hashable, Sendable {
        public let devices: [Manifest.Device]
        /// How the layers are split over `devices`.
        public let split: Manifest.Stage.Split
    }

    public struct Edge: Hashable, Sendable {
        public enum End: Hashable, Sendable {
            /// Where the request's text comes in.
            case prompt
            case stage(String)
            /// Where the generated text goes out.
            case completion
        }
        public enum Role: String, Hashable, Sendable {
            case flow
            /// KV state that leaves a device for another.
            case handoff
            /// The sampled token on its way back to decode: the one edge that runs against the order of the nodes.
            case feedback
        }

        public let from: End
        public let to: End
        public let type: PortType
        public let role: Role
    }

    public let manifest: Manifest
    /// Each after everything it takes from, feedback apart.
    public let nodes: [Node]
    public let edges: [Edge]
    /// How requests run; with `routing` auto, how they run unless the costs say otherwise.
    public let mode: Mode
    public let prefill: Node
    public let decode: Node
    /// What its writer probably did not mean.
    public let warnings: [ManifestWarning]

    /// Errors: whatever makes the manifest unsound, with its place: a stage without a device, a name not declared, a type that does not fit, a
    /// cycle, a stage there are two of. Pure.
    public init(proving manifest: Manifest) throws(ManifestError) {
        let stages = try StageProof(manifest)
        let order = try OrderProof(manifest, stages.nodes).nodes
        self.manifest = manifest
        nodes = order
        prefill = stages.prefill
        decode = stages.decode
        mode = stages.mode
        edges = EdgeList(order, mode).edges
        warnings = stages.warnings
    }

    /// The ways of a request: each replica of prefill with each of decode; where both stages have the same ones, each with itself.
    public var pairs: [(prefill: Replica, decode: Replica)] {
        if prefill.replicas == decode.replicas { return decode.replicas.map { ($0, $0) } }
        return prefill.replicas.flatMap { from in decode.replicas.map { (from, $0) } }
    }

    public var routing: Manifest.Routing { manifest.routing.value }
    public var handoff: Manifest.Handoff { manifest.handoff }

    /// The foreign stages at `hook`, in the order in which they are called.
    public func foreign(at hook: ForeignHook) -> [Node] { nodes.filter { $0.foreign?.hook.value == hook } }

    public func node(named name: String) -> Node? { nodes.first { $0.name == name } }
}
