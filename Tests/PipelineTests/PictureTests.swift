// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing

@testable import Pipeline

@Suite("Pictures of graphs")
struct PictureTests {
    static let guards = small(
        """
        stages:
          no_secrets: {kind: foreign, at: text_in, library: ./libguard.so, signature: "i32 check(u8* text, u64 length)"}
          mask: {kind: foreign, at: logits, library: ./libguard.so, function: mask_digits, signature: "i32 f(f32*, u64, i32*, u64)"}
          bias: {kind: foreign, at: logits, library: ./libguard.so, signature: "i32 bias(f32*, u64, i32*, u64)"}
          tame: {kind: foreign, at: text_out, library: ./libguard.so, signature: "i32 tame(u8*, u64)"}
        """)

    static let annotated: GraphPicture = {
        guard let graph = try? graph(ofExample: "disaggregated.yaml"), let move = graph.edges.first(where: { $0.role == .handoff }) else {
            preconditionFailure()
        }
        var notes = GraphAnnotations()
        notes.nodes = ["prefill": ["weights 269.1 MB bf16", "modelled 2.9 ms for 512 tokens"], "decode": ["weights 269.1 MB f16", "modelled 0.42 ms a token"]]
        notes.devices = ["trn": ["0.4 of 144.0 GiB", "modelled device"], "wse": ["0.3 of 44.0 GB", "modelled device"]]
        notes.edges[move] = ["permute + cast bf16 to f16", "23,040 bytes a token", "11.8 MB for 512 tokens", "1 copy, none through the host"]
        notes.footer = ["Times of device models are modelled, not measured."]
        return GraphPicture(graph, notes)
    }()

    private func pictures() throws -> [GraphPicture] {
        try ["disaggregated", "aggregated", "split", "replicas", "foreign"].map { GraphPicture(try graph(ofExample: "\($0).yaml")) }
            + [Self.annotated, GraphPicture(graph(Self.guards))]
    }

    @Test("boxes stand in their lanes, apart, and hold their text")
    func boxes() throws {
        for picture in try pictures() {
            let layout = PictureLayout(picture)
            let boxes = Array(layout.boxes.values)
            #expect(boxes.count == picture.graph.nodes.count + 2)
            for box in boxes {
                let lane = layout.lanes[box.lane]
                #expect(box.x >= lane.x && box.right <= lane.x + lane.width && box.y >= lane.y && box.y + box.height <= lane.y + lane.height)
                #expect(TextMeasure.width(box.lines, size: 11) <= box.width && Double(box.lines.count) * 15 + 20 <= box.height)
                for other in boxes where other.column != box.column {
                    #expect(other.column > box.column ? other.x > box.right : other.right < box.x)
                }
            }
            #expect(layout.lanes.allSatisfy { $0.x + $0.width <= layout.width && $0.y + $0.height <= layout.height })
        }
    }

    @Test("no line and no label of an edge goes through a box")
    func edges() throws {
        for picture in try pictures() {
            let layout = PictureLayout(picture)
            #expect(layout.paths.count == picture.graph.edges.count)
            for path in layout.paths {
                for (a, b) in zip(path.points, path.points.dropFirst()) {
                    #expect(a.x == b.x || a.y == b.y)
                    for box in layout.boxes.values { #expect(!crosses(box, min(a.x, b.x), max(a.x, b.x), min(a.y, b.y), max(a.y, b.y))) }
                }
                let (x, y, width, height) = (path.label.x, path.label.y, path.label.width / 2, path.label.height / 2)
                for box in layout.boxes.values { #expect(!crosses(box, x - width, x + width, y - height, y + height)) }
            }
        }
    }

    private func crosses(_ box: PictureLayout.Box, _ left: Double, _ right: Double, _ top: Double, _ bottom: Double) -> Bool {
        left < box.right - 0.1 && right > box.x + 0.1 && top < box.y + box.height - 0.1 && bottom > box.y + 0.1
    }

    @Test("very long names do not stretch a picture")
    func longNames() throws {
        let long = String(repeating: "W", count: 4000)
        let picture = GraphPicture(try graph("baton: 1\nmodel: \(long)\ndevices: {h: {driver: \(long), options: {a: \(long), b: \(long)}}}"))
        let layout = PictureLayout(picture)
        #expect(layout.width < 2600 && TextMeasure.width(layout.title, size: 16, isBold: true) < layout.width)
        #expect(layout.lanes.allSatisfy { $0.captions.allSatisfy { $0.text.count <= 64 } })
    }

    @Test("what is said about a device stands under its own title")
    func deviceNotes() throws {
        let picture = GraphPicture(
            try graph(ofExample: "split.yaml"), GraphAnnotations(devices: ["wse0": ["first", "half"], "wse1": ["second"]]))
        #expect(PictureLayout(picture).lanes.last?.captions.map(\.text) == ["wse0: cs3", "first", "half", "wse1: cs3", "second"])
        #expect(picture.dot.contains("wse0: cs3\\nfirst\\nhalf\\nwse1: cs3\\nsecond"))
    }

    @Test("a stage with replicas says how many, and which of them are split")
    func replicas() throws {
        let picture = GraphPicture(try graph(four("prefill: a, decode: {replicas: [b, {devices: [c, d]}]}")))
        #expect(picture.lines(of: picture.graph.decode) == ["2 replicas", "c+d: layers split"])
        #expect(PictureLayout(picture).lanes.last?.captions.map(\.text) == ["b: cpu", "c: cpu", "d: cpu"])
        #expect(picture.dot.contains("2 replicas\\nc+d: layers split"))
    }

    @Test("annotations are in both forms, escaped")
    func annotations() throws {
        let graph = try graph(small(""))
        let notes = GraphAnnotations(nodes: ["prefill": ["a < b & \"c\""]], devices: ["host": ["9 bytes"]], edges: [graph.edges[2]: ["no copy"]], footer: ["end"])
        let picture = GraphPicture(graph, notes)
        for part in ["a &lt; b &amp; &quot;c&quot;", "9 bytes", "no copy", "end", "prefers-color-scheme:dark"] { #expect(picture.svg().contains(part)) }
        for part in ["a < b & \\\"c\\\"", "9 bytes", "no copy", "end", "rankdir=LR"] { #expect(picture.dot.contains(part)) }
        #expect(!picture.svg(theme: .dark).contains("@media"))
    }

    @Test("the handoff is the only edge drawn hot")
    func handoff() throws {
        let svg = Self.annotated.svg(theme: .light)
        #expect(svg.split(separator: "marker-end=\"url(#hot)\"").count == 2)
        #expect(Self.annotated.dot.contains("\"stage prefill\" -> \"stage decode\" [label=\"handoff: kv_state\\nlayer by layer, f16\\npermute"))
        #expect(try !GraphPicture(graph(small(""))).svg(theme: .light).contains("url(#hot)"))
    }

    /// With BATON_PICTURES set to a folder, the pictures are left there to be looked at.
    @Test("pictures can be written to a folder")
    func written() throws {
        guard let folder = getenv("BATON_PICTURES").map({ String(cString: $0) }) else { return }
        for name in ["disaggregated", "aggregated", "split", "replicas", "foreign"] {
            try write(GraphPicture(graph(ofExample: "\(name).yaml")), "\(folder)/\(name)")
        }
        try write(Self.annotated, "\(folder)/annotated")
        try write(GraphPicture(graph(Self.guards)), "\(folder)/guards")
        let notes = GraphAnnotations(devices: ["wse0": ["layers 0..<15", "needs 276.3 MB"], "wse1": ["layers 15..<30", "needs 276.3 MB"]])
        try write(GraphPicture(graph(ofExample: "split.yaml"), notes), "\(folder)/split-annotated")
    }

    private func write(_ picture: GraphPicture, _ path: String) throws {
        let texts = [("dot", picture.dot), ("light.svg", picture.svg(theme: .light)), ("dark.svg", picture.svg(theme: .dark)), ("svg", picture.svg())]
        for (ending, text) in texts {
            let file = try #require(fopen("\(path).\(ending)", "w"))
            fputs(text, file)
            fclose(file)
        }
    }
}
