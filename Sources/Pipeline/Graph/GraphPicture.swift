// SPDX-License-Identifier: Apache-2.0

/// A graph to look at, with annotations. Pure.
public struct GraphPicture: Sendable {
    /// The colours of an SVG.
    public enum Theme: String, Sendable, CaseIterable {
        /// Light, or dark where the viewer prefers that.
        case automatic
        case light, dark
    }

    let graph: Graph
    let annotations: GraphAnnotations

    public init(_ graph: Graph, _ annotations: GraphAnnotations = GraphAnnotations()) {
        self.graph = graph
        self.annotations = annotations
    }

    /// For Graphviz.
    public var dot: String { DotWriter(self).text }

    /// One self-contained SVG document: no scripts, no fonts or images from elsewhere.
    public func svg(theme: Theme = .automatic) -> String { SVGWriter(PictureLayout(self), theme).text }

    var title: String { "\(shortened(graph.manifest.model.value.text)): \(graph.mode.rawValue), routing \(graph.routing.rawValue)" }

    /// Stages on the same devices stand together; those of the host have no devices.
    struct Group: Hashable {
        var devices: [Manifest.Device]
        var nodes: [Graph.Node]
    }

    var host: Group { Group(devices: [], nodes: graph.nodes.filter { $0.devices.isEmpty }) }

    /// Prefill's first; one group where KV state stays where it is.
    var deviceGroups: [Group] {
        guard graph.mode == .disaggregated else {
            return [Group(devices: graph.decode.devices, nodes: [graph.prefill, graph.decode])]
        }
        return [graph.prefill, graph.decode].map { Group(devices: $0.devices, nodes: [$0]) }
    }

    func title(of device: Manifest.Device) -> String {
        let options = device.options.map { "\($0.name.value) \($0.value.value)" }.joined(separator: ", ")
        let name = "\(device.name.value): \(device.driver.value)"
        return shortened(options.isEmpty ? name : "\(name) (\(options))")
    }

    /// What is said about a device, under its title.
    func lines(of device: Manifest.Device) -> [String] { (annotations.devices[device.name.value] ?? []).map(shortened) }

    /// Under the name of a stage.
    func lines(of node: Graph.Node) -> [String] {
        var lines: [String] = node.name == node.kind.rawValue ? [] : [node.kind.rawValue]
        if let foreign = node.foreign {
            lines = ["foreign, at \(foreign.hook.value.rawValue)", "\(foreign.function.value)()", foreign.library.value]
        }
        if node.replicas.count > 1 {
            lines.append("\(node.replicas.count) replicas")
            lines += node.replicas.filter { $0.devices.count > 1 }.map { "\($0.devices.map(\.name.value).joined(separator: "+")): layers split" }
        } else if let replica = node.replicas.first, replica.devices.count > 1 {
            lines += splitLines(of: replica)
        }
        return (lines + (annotations.nodes[node.name] ?? [])).map(shortened)
    }

    private func splitLines(of replica: Graph.Replica) -> [String] {
        switch replica.split {
        case .layers: ["layers split over \(replica.devices.count) devices"]
        case .counts(let counts): zip(replica.devices, counts).map { "\($0.name.value): \($1) layers" }
        }
    }

    /// The type of an edge, then what is said about it.
    func lines(of edge: Graph.Edge) -> [String] {
        let title = edge.role == .handoff ? "handoff: \(edge.type.rawValue)" : edge.type.rawValue
        var lines = [title]
        if edge.role == .handoff {
            let handoff = graph.handoff
            let overlap = handoff.overlap.value == .layer ? "layer by layer" : "after prefill"
            lines.append(handoff.dtype.value == .auto ? overlap : "\(overlap), \(handoff.dtype.value.rawValue)")
        }
        return (lines + (annotations.edges[edge] ?? [])).map(shortened)
    }

    /// A line longer than a picture can bear, cut.
    func shortened(_ line: String) -> String { line.count > 64 ? line.prefix(63) + "…" : line }
}
