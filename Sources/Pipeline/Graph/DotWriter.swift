// SPDX-License-Identifier: Apache-2.0

/// Writes a graph in the language of Graphviz.
struct DotWriter {
    private(set) var text = ""
    private let picture: GraphPicture

    init(_ picture: GraphPicture) {
        self.picture = picture
        text += "digraph \(quoted([picture.graph.manifest.model.value.text])) {\n"
        text += "  rankdir=LR; fontname=\"Helvetica\"; label=\(quoted([picture.title] + picture.annotations.footer)); labelloc=b;\n"
        text += "  node [shape=box, style=\"rounded,filled\", fillcolor=white, fontname=\"Helvetica\"];\n"
        text += "  edge [fontname=\"Helvetica\", fontsize=11];\n"
        text += "  prompt [shape=plaintext, style=\"\"]; completion [shape=plaintext, style=\"\"];\n"
        for (index, group) in ([picture.host] + picture.deviceGroups).enumerated() { write(group, index) }
        for edge in picture.graph.edges { write(edge) }
        text += "}\n"
    }

    private mutating func write(_ group: GraphPicture.Group, _ index: Int) {
        let label = group.devices.isEmpty ? ["host"] : group.devices.flatMap { [picture.title(of: $0)] + picture.lines(of: $0) }
        text += "  subgraph cluster_\(index) {\n    label=\(quoted(label)); style=\"rounded,filled\"; fillcolor=\"#eef2f7\"; color=\"#9aa5b4\";\n"
        for node in group.nodes { text += "    \(name(.stage(node.name))) [label=\(quoted([node.name] + picture.lines(of: node)))];\n" }
        text += "  }\n"
    }

    private mutating func write(_ edge: Graph.Edge) {
        var attributes = "label=\(quoted(picture.lines(of: edge)))"
        switch edge.role {
        case .flow: break
        case .handoff: attributes += ", color=\"#d9480f\", fontcolor=\"#d9480f\", penwidth=3"
        case .feedback: attributes += ", style=dashed, constraint=false"
        }
        text += "  \(name(edge.from)) -> \(name(edge.to)) [\(attributes)];\n"
    }

    private func name(_ end: Graph.Edge.End) -> String {
        switch end {
        case .prompt: "prompt"
        case .completion: "completion"
        case .stage(let name): quoted(["stage " + name])
        }
    }

    private func quoted(_ lines: [String]) -> String {
        var text = "\""
        for (index, line) in lines.enumerated() {
            if index > 0 { text += "\\n" }
            for character in line {
                if character == "\"" || character == "\\" { text += "\\" }
                text.append(character.isNewline ? " " : character)
            }
        }
        return text + "\""
    }
}
