import ArgumentParser
import Driver
import Engine
import Model
import Pipeline

struct Explain: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Proves a manifest and shows what would happen, before any device is opened.",
        discussion: """
            EXAMPLES
              baton explain Examples/disaggregated.yaml
              baton explain Examples/disaggregated.yaml --svg plan.svg
              baton explain Examples/disaggregated.yaml --dot | dot -Tpng > plan.png
              baton explain Examples/disaggregated.yaml --prompt-tokens 2048 --json
            """)

    @Argument(help: "The manifest.", completion: .file(extensions: ["yaml", "yml", "json"])) var manifest: String
    @Option(help: "The prompt whose times and bytes are shown.") var promptTokens = 512
    @Flag(help: "Print the graph in Graphviz's language.") var dot = false
    @Option(help: "Write a picture to this file.", completion: .file(extensions: ["svg"])) var svg: String?
    @Flag(help: "Print JSON.") var json = false

    func validate() throws {
        guard promptTokens >= 1 else { throw ValidationError("--prompt-tokens is \(promptTokens); give at least 1") }
    }

    func run() throws {
        try Failure.wrapping {
            let session = try Session(manifest: manifest)
            let placements = try session.placements()
            let explanation = Explanation(
                of: placements.first, and: placements.others, promptTokens: min(promptTokens, placements.first.context), routing: session.routing)
            let picture = GraphPicture(session.graph, Self.annotations(explanation, session.graph))
            if dot {
                Terminal.write(picture.dot)
            } else if json {
                Terminal.line(try JSON.text(explanation))
            } else {
                Terminal.line(ExplanationText(explanation).text)
            }
            if let svg { try Files.write(picture.svg(), to: svg) }
            if let problem = explanation.problems.first { throw Failure(code: 2, problem) }
        }
    }
}

extension Explain {
    /// What the picture shows beside the graph.
    private static func annotations(_ explanation: Explanation, _ graph: Graph) -> GraphAnnotations {
        var shown = GraphAnnotations()
        for (name, lines) in explanation.annotations {
            if name.hasPrefix("device:") {
                shown.devices[String(name.dropFirst(7))] = lines
            } else if name == "handoff" {
                for edge in graph.edges where edge.role == .handoff { shown.edges[edge] = lines }
            } else {
                shown.nodes[name] = lines
            }
        }
        shown.footer = explanation.problems
        return shown
    }
}

/// An explanation as people read it.
struct ExplanationText {
    let explanation: Explanation
    init(_ explanation: Explanation) { self.explanation = explanation }

    var text: String {
        var lines = ["model \(explanation.model): \(explanation.layers) layers, context \(explanation.context) tokens", ""]
        let rows = explanation.stages.flatMap { stage in
            stage.parts.map { part in
                [
                    stage.stage, part.device, part.driver, part.engine, "\(part.layers)", part.needed_bytes.map { ByteCount($0).description } ?? "?",
                    ByteCount(part.available_bytes).description, part.fits ? "yes" : "NO", part.why,
                ]
            }
        }
        lines.append(Columns([["stage", "device", "driver", "engine", "layers", "needs", "has", "fits", "why"]] + rows).text)
        for part in explanation.stages.flatMap(\.parts) where !part.driver_layers.isEmpty {
            let line = "device \(part.device): layers around its driver: \(part.driver_layers.joined(separator: ", "))"
            if !lines.contains(line) { lines.append(line) }
        }
        lines.append("")
        for conversion in explanation.weight_conversions { lines.append(conversion) }
        for hop in explanation.hops {
            lines.append("hop \(hop.from_device) -> \(hop.to_device) in \(hop.stage), after layer \(hop.after_layer): hidden states, f32, through host memory: \(ByteCount(hop.bytes_per_token)) a token")
        }
        if explanation.pairs.count > 1 {
            lines.append("\(explanation.pairs.count) pairs of replicas: a request that is served takes the one that has room and would be quickest, the least busy of those alike")
        }
        lines += handoffs
        if explanation.handoffs.isEmpty { lines.append("no handoff: both stages are on one device, so KV stays where it is") }
        lines.append("")
        lines.append("for a prompt of \(explanation.prompt_tokens) tokens:")
        for time in explanation.times { lines.append("  \(time.what): \(time.microseconds) us \(time.clock)") }
        lines.append("route: \(explanation.route), \(explanation.route_reason)")
        return lines.joined(separator: "\n")
    }

    /// Two lines for each conversion; pairs with the same one stand together.
    private var handoffs: [String] {
        var names: [String: [String]] = [:]
        var order: [String] = []
        for handoff in explanation.handoffs {
            let what = "layers \(handoff.layers): \(handoff.conversion), \(handoff.copies) copies\(handoff.staged ? ", converted in host memory" : "")\n"
                + "  from \(handoff.from_layout): \(ByteCount(handoff.wire_bytes)); to \(handoff.to_layout): \(ByteCount(handoff.import_bytes))"
            if names[what] == nil { order.append(what) }
            names[what, default: []].append("\(handoff.from_device) -> \(handoff.to_device)")
        }
        return order.map { "handoff \((names[$0] ?? []).joined(separator: ", ")), \($0)" }
    }
}
