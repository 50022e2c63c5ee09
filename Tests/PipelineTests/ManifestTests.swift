// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Pipeline

@Suite("Manifests that are sound")
struct ManifestTests {
    @Test("four lines are enough, and the rest is defaults")
    func smallest() throws {
        let graph = try graph(ofExample: "aggregated.yaml")
        let found = graph.manifest
        #expect(found.model.value == .named("smollm2-135m-instruct"))
        #expect(found.handoff == Manifest.Handoff())
        #expect(found.handoff.overlap.value == .layer && found.handoff.dtype.value == .auto && found.handoff.checksum.value)
        #expect(found.handoff.deadlineNanoseconds == 2_000_000_000 && found.handoff.onFailure.value == .recompute)
        #expect(found.sampling == Manifest.Sampling() && found.context == nil && graph.routing == .auto)
        #expect(graph.mode == .aggregated && graph.warnings.isEmpty)
        #expect(graph.nodes.map(\.name) == ["tokenize", "prefill", "decode", "sample", "detokenize"])
        #expect(graph.nodes.allSatisfy { !$0.isWritten })
        #expect(graph.prefill.devices == graph.decode.devices && graph.decode.devices.map(\.name.value) == ["host"])
    }

    @Test("every value knows its line and column")
    func places() throws {
        let found = try Manifest(contentsOf: "\(root)/Examples/disaggregated.yaml")
        #expect(found.model.position == SourcePosition(line: 3, column: 8))
        let trn = try #require(found.devices.first)
        #expect(trn.name == Located("trn", at: SourcePosition(line: 5, column: 3)))
        #expect(trn.driver == Located("trainium3", at: SourcePosition(line: 5, column: 17)))
        #expect(trn.options == [.init(name: Located("chips", at: SourcePosition(line: 5, column: 38)), value: Located("1", at: SourcePosition(line: 5, column: 45)))])
        #expect(found.stages.map(\.name.position?.line) == [8, 9])
        #expect(found.handoff.dtype == Located(.f16, at: SourcePosition(line: 10, column: 34)))
        #expect(found.routing == Located(.auto, at: SourcePosition(line: 11, column: 17)))
    }

    @Test("two devices are disaggregated, with a handoff between them")
    func disaggregated() throws {
        let graph = try graph(ofExample: "disaggregated.yaml")
        #expect(graph.mode == .disaggregated)
        #expect(graph.prefill.devices.map(\.driver.value) == ["trainium3"] && graph.decode.devices.map(\.driver.value) == ["cs3"])
        #expect(graph.edges.filter { $0.role == .handoff } == [.init(from: .stage("prefill"), to: .stage("decode"), type: .kvState, role: .handoff)])
        #expect(graph.edges.filter { $0.role == .feedback } == [.init(from: .stage("sample"), to: .stage("decode"), type: .token, role: .feedback)])
        #expect(graph.edges.count == 8)
    }

    @Test("aggregated routing of two devices runs both stages on decode's")
    func aggregatedRouting() throws {
        for stages in ["prefill: trn, decode: wse", "decode: wse"] {
            let graph = try graph(two("stages: {\(stages)}\nrouting: aggregated"))
            #expect(graph.mode == .aggregated)
            #expect(graph.prefill.devices.map(\.name.value) == ["wse"])
            #expect(graph.edges.allSatisfy { $0.role != .handoff })
            #expect(
                graph.warnings.map(\.description)
                    == ["m.yaml:4:3: warning: device trn is not used: routing is aggregated, so both stages run on the decode device"])
        }
    }

    @Test("layers are split over devices, evenly or as written")
    func split() throws {
        let even = try graph(ofExample: "split.yaml")
        #expect(even.decode.devices.map(\.name.value) == ["wse0", "wse1"] && even.decode.replicas.map(\.split) == [.layers])
        let written = try graph(two("stages: {prefill: trn, decode: {devices: [wse, trn], split: [10, 20]}}"))
        #expect(written.decode.replicas.map(\.split) == [.counts([10, 20])] && written.mode == .disaggregated)
    }

    private static func names(_ replica: Graph.Replica) -> String { replica.devices.map(\.name.value).joined(separator: "+") }
    private static func ways(_ graph: Graph) -> [String] { graph.pairs.map { "\(names($0.prefill)) \(names($0.decode))" } }

    @Test("every replica of prefill is paired with every one of decode; a replica may be split, and may be in both stages")
    func replicas() throws {
        let example = try graph(ofExample: "replicas.yaml")
        #expect(example.mode == .disaggregated && example.warnings.isEmpty)
        #expect(Self.ways(example) == ["trn0 wse0", "trn0 wse1", "trn1 wse0", "trn1 wse1"])
        let split = try graph(four("prefill: {replicas: [{device: a}]}, decode: {replicas: [b, {devices: [c, d], split: [10, 20]}]}"))
        #expect(Self.ways(split) == ["a b", "a c+d"])
        #expect(split.decode.replicas.map(\.split) == [.layers, .counts([10, 20])])
        #expect(split.decode.devices.map(\.name.value) == ["b", "c", "d"])
        let shared = try graph(four("prefill: {replicas: [a, b]}, decode: {replicas: [a, c, d]}"))
        #expect(Self.ways(shared) == ["a a", "a c", "a d", "b a", "b c", "b d"] && shared.mode == .disaggregated)
    }

    @Test("where both stages have the same replicas, or routing is aggregated, a request stays on one")
    func replicasTogether() throws {
        let same = try graph(four("prefill: {replicas: [a, b, c, d]}, decode: {replicas: [a, b, c, d]}"))
        #expect(same.mode == .aggregated && Self.ways(same) == ["a a", "b b", "c c", "d d"])
        let routed = try graph(four("decode: {replicas: [a, b]}") + "routing: aggregated\n")
        #expect(routed.mode == .aggregated && Self.ways(routed) == ["a a", "b b"])
        #expect(try Self.ways(graph(small("stages: {decode: {replicas: [host]}}"))) == ["host host"])
    }

    @Test("a device that no stage names is a warning")
    func unused() throws {
        let graph = try graph(two("stages: {prefill: wse, decode: wse}"))
        #expect(graph.mode == .aggregated)
        #expect(graph.warnings.map(\.description) == ["m.yaml:4:3: warning: device trn is not used: no stage names it"])
    }

    @Test("JSON is read by the same reader")
    func json() throws {
        let text = """
            {"baton": 1, "model": "a/b.gguf", "devices": {"h": {"driver": "cpu", "options": {"threads": 2, "fast": true}}},
            \t"handoff": {"checksum": false, "deadline": "250ms", "overlap": "none", "dtype": "bf16", "on_failure": "fail"},
             "sampling": {"temperature": 0.5, "top_k": 40, "top_p": 1e-1, "min_p": 0, "repetition_penalty": 1.1, "seed": 18446744073709551615},
             "context": 4096, "routing": {"mode": "aggregated"}}
            """
        let found = try manifest(text)
        #expect(found.model.value == .file("a/b.gguf"))
        #expect(found.devices.first?.options.map(\.value.value) == ["2", "true"])
        #expect(!found.handoff.checksum.value && found.handoff.deadlineNanoseconds == 250_000_000)
        #expect(found.handoff.overlap.value == .none && found.handoff.dtype.value == .bf16 && found.handoff.onFailure.value == .fail)
        #expect(found.sampling.temperature?.value == 0.5 && found.sampling.topK?.value == 40 && found.sampling.topP?.value == 0.1)
        #expect(found.sampling.minP?.value == 0 && found.sampling.repetitionPenalty?.value == 1.1 && found.sampling.seed?.value == .max)
        #expect(found.context?.value == 4096 && found.routing.value == .aggregated)
    }

    @Test("flags and times are read in every way they are written", arguments: [("on", true), ("Yes", true), ("true", true), ("OFF", false), ("no", false)])
    func flags(_ text: String, _ value: Bool) throws {
        #expect(try manifest(small("handoff: {checksum: \(text), deadline: 1m}")).handoff.checksum.value == value)
    }

    @Test("a byte order mark and Windows line ends are accepted")
    func lineEnds() throws {
        let text = "\u{FEFF}baton: 1\r\nmodel: m\r\ndevices:\r\n  h: cpu\r\n"
        #expect(try manifest(text).devices.first?.name == Located("h", at: SourcePosition(line: 4, column: 3)))
    }

    @Test("a quoted number, and text that only begins like one, are names")
    func numericNames() throws {
        let found = try manifest("baton: 1\nmodel: m\ndevices: {'1': cpu, 1st: cpu, inf: cpu, 2.0.1: cpu, on: cpu}")
        #expect(found.devices.map(\.name.value) == ["1", "1st", "inf", "2.0.1", "on"])
    }

    @Test("paths are relative to the manifest")
    func paths() throws {
        let found = try Manifest(text: small(""), file: "some/where/m.yaml")
        #expect(found.resolve("./a.gguf") == "some/where/a.gguf" && found.resolve("/a.gguf") == "/a.gguf")
        #expect(try manifest(small("")).resolve("a.gguf") == "a.gguf")
    }

    @Test("foreign stages are bound at their hooks, in written order unless they say otherwise")
    func foreign() throws {
        let example = try graph(ofExample: "foreign.yaml")
        let filter = try #require(example.foreign(at: .logits).first?.foreign)
        #expect(filter.boundSignature.description == "i32 mask_digits(f32* logits, u64 count, i32* history, u64 history_count)")
        let guards = try graph(PictureTests.guards)
        #expect(guards.nodes.map(\.name) == ["no_secrets", "tokenize", "prefill", "decode", "mask", "bias", "sample", "detokenize", "tame"])
        #expect(guards.foreign(at: .logits).map { $0.foreign?.boundSignature.name } == ["mask_digits", "bias"])
        let turned = try graph(PictureTests.guards.replacing("mask: {", with: "mask: {after: bias, "))
        #expect(turned.foreign(at: .logits).map(\.name) == ["bias", "mask"])
    }

    @Test("a foreign tokenizer takes the place of the default one")
    func tokenizer() throws {
        let text = small("stages: {mine: {kind: foreign, at: tokenize, library: a.so, signature: 'i64 t(u8*, u64, i32*, u64)'}}")
        #expect(try graph(text).nodes.map(\.name) == ["mine", "prefill", "decode", "sample", "detokenize"])
    }
}

extension String {
    func replacing(_ part: String, with other: String) -> String {
        guard let range = firstRange(of: part) else { return self }
        return String(self[..<range.lowerBound]) + other + String(self[range.upperBound...])
    }
}
