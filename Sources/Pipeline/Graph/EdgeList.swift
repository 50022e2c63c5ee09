// SPDX-License-Identifier: Apache-2.0

/// The edges between ordered nodes: text in, tokens, KV state and logits, and the token both back to decode and out as text.
struct EdgeList {
    private(set) var edges: [Graph.Edge] = []
    private let nodes: [Graph.Node]

    init(_ nodes: [Graph.Node], _ mode: Graph.Mode) {
        self.nodes = nodes
        chain([.prompt] + names(.textIn) + names(.tokenize), .text)
        join(.tokenize, .prefill, .tokens)
        join(.prefill, .decode, .kvState, mode == .disaggregated ? .handoff : .flow)
        let filters = names(.logits) + names(.sample)
        if let first = filters.first {
            for source in names(.prefill) + names(.decode) { add(source, first, .logits) }
        }
        chain(filters, .logits)
        join(.sample, .decode, .token, .feedback)
        join(.sample, .detokenize, .token)
        chain(names(.detokenize) + names(.textOut) + [.completion], .text)
    }

    private func names(_ step: Step) -> [Graph.Edge.End] { nodes.filter { $0.step == step }.map { .stage($0.name) } }

    private mutating func add(_ from: Graph.Edge.End, _ to: Graph.Edge.End, _ type: PortType, _ role: Graph.Edge.Role = .flow) {
        edges.append(Graph.Edge(from: from, to: to, type: type, role: role))
    }

    private mutating func join(_ from: Step, _ to: Step, _ type: PortType, _ role: Graph.Edge.Role = .flow) {
        for source in names(from) { for target in names(to) { add(source, target, type, role) } }
    }

    private mutating func chain(_ ends: [Graph.Edge.End], _ type: PortType) {
        for (from, to) in zip(ends, ends.dropFirst()) { add(from, to, type) }
    }
}
