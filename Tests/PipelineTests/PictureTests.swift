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

    /// With BATON_PICTURES set to a folder, the pictures are left there to be looked at.
    @Test("pictures can be written to a folder")
    func written() throws {
        guard let folder = getenv("BATON_PICTURES").map({ String(cString: $0) }) else { return }
        for name in ["disaggregated", "aggregated", "split", "foreign"] {
            try write(GraphPicture(graph(ofExample: "\(name).yaml")), "\(folder)/\(name)")
        }
        try write(Self.annotated, "\(folder)/annotated")
        try write(GraphPicture(graph(Self.guards)), "\(folder)/guards")
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
