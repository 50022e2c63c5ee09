import Foundation
import TestKit
import Testing

/// The command on the real model.
@Suite(.enabled(if: Command.isThere && TestModel.path != nil && TestDrivers.has("cpu"), "the command, the model or the cpu driver is not there"), .serialized)
struct CommandTests {
    private func manifest(_ folder: Scratch, _ devices: String, _ stages: String = "") throws -> String {
        try folder.write("m.yaml", "baton: 1\nmodel: \(TestModel.path ?? "")\ndevices:\n\(devices)\(stages)")
    }

    @Test("run --json gives the object it promises, from Trainium3 to CS-3", .enabled(if: TestDrivers.has("trainium3") && TestDrivers.has("cs3"), "needs the device models"))
    func disaggregated() throws {
        let folder = try Scratch()
        let path = try manifest(folder, "  trn: trainium3\n  wse: cs3\n", "stages:\n  prefill: {device: trn}\n  decode: {device: wse}\n")
        let result = try Command.run("run", path, "--prompt", "The capital of France is", "--raw", "--max-tokens", "4", "--json", "--trace", "t.json", in: folder.path)
        #expect(result.status == 0, "\(result.error)")
        #expect(result.json["prompt_tokens"] as? [Int] == [504, 3575, 282, 4649, 314])
        #expect((result.json["completion_tokens"] as? [Int])?.first == 7042)
        #expect((result.json["text"] as? String)?.hasPrefix(" Paris") == true)
        #expect(result.json["finish_reason"] as? String == "length")
        let handoff = result.json["handoff"] as? [String: Any] ?? [:]
        for key in ["bytes", "from_layout", "to_layout", "conversion", "exposed_ms", "hidden_ms", "state"] { #expect(handoff[key] != nil, "\(key)") }
        #expect(handoff["state"] as? String == "adopted")
        let stages = result.json["stages"] as? [[String: Any]] ?? []
        #expect(stages.map { $0["stage"] as? String } == ["prefill", "decode"])
        for stage in stages { for key in ["stage", "device", "driver", "engine", "tokens", "wall_ms", "modelled_ms"] { #expect(stage[key] != nil, "\(key)") } }
        let trace = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: folder.path + "/t.json"))) as? [String: Any]
        #expect((trace?["traceEvents"] as? [[String: Any]])?.contains { $0["cat"] as? String == "handoff" } == true)
    }

    @Test("score gives ids, log-probabilities and the largest logits")
    func score() throws {
        let folder = try Scratch()
        try folder.write("p.txt", Golden.prompts[0].text)
        let path = try manifest(folder, "  host: {driver: cpu, options: {numerics: f32}}\n")
        let result = try Command.run("score", path, "--prompt-file", "p.txt", "--top", "5", "--json", in: folder.path)
        #expect(result.json["ids"] as? [Int] == Golden.prompts[0].ids.map(Int.init))
        #expect(abs((result.json["mean_logprob"] as? Double ?? 0) - (Golden.prompts[0].mean_logprob ?? 1)) < 1e-4)
        #expect((result.json["top"] as? [[Double]])?.first?.first == Golden.prompts[0].last_logits_top20.first?.first)
        #expect((result.json["top"] as? [[Double]])?.count == 5)
    }

    @Test("tokenize prints an array of id arrays")
    func tokenize() throws {
        let folder = try Scratch()
        try folder.write("c.json", #"["", "a", "<|im_start|>", "10 000"]"#)
        let result = try Command.run("tokenize", "--model", TestModel.path ?? "", "--cases", "c.json", "--json", in: folder.path)
        let ids = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [[Int]]
        #expect(ids == [[], [81], [1], [33, 32, 216, 32, 32, 32]])
    }

    @Test("a sampled run is the same for the same seed, and a stop string ends it before it")
    func sampled() throws {
        let folder = try Scratch()
        let path = try manifest(folder, "  host: cpu\n")
        let runs = try (0..<2).map { _ in
            try Command.run("run", path, "--prompt", "Say hello", "--temperature", "0.9", "--seed", "5", "--max-tokens", "12", "--json", in: folder.path)
        }
        #expect(runs[0].json["completion_tokens"] as? [Int] == runs[1].json["completion_tokens"] as? [Int])
        let stopped = try Command.run("run", path, "--prompt", "The capital of France is", "--raw", "--stop", ".", "--max-tokens", "20", "--json", in: folder.path)
        #expect(stopped.json["text"] as? String == " Paris")
        #expect(stopped.json["finish_reason"] as? String == "stop")
    }

    @Test("of replicas run takes the first and says so, and explain shows all, each pair with its handoff")
    func replicas() throws {
        let folder = try Scratch()
        let path = try manifest(folder, "  a: cpu\n  b: cpu\n  c: {driver: cpu, options: {kv_dtype: f32}}\n", "stages: {prefill: {replicas: [a, b]}, decode: {replicas: [b, c]}}\n")
        let run = try Command.run("run", path, "--prompt", "The capital of France is", "--raw", "--max-tokens", "2", "--json", in: folder.path)
        #expect(run.status == 0 && run.error.contains("prefill on a, decode on b"), "\(run.error)")
        #expect((run.json["stages"] as? [[String: Any]])?.map { $0["device"] as? String } == ["a", "b"])
        let explained = try Command.run("explain", path, "--json", in: folder.path)
        let pairs = explained.json["pairs"] as? [[String: String]] ?? []
        #expect(pairs.map { "\($0["prefill"] ?? "") \($0["decode"] ?? "") \($0["mode"] ?? "")" } == ["a b disaggregated", "a c disaggregated", "b b aggregated", "b c disaggregated"])
        #expect((explained.json["handoffs"] as? [[String: Any]])?.map { $0["pair"] as? Int } == [1, 2, 4])
        #expect((explained.json["stages"] as? [[String: Any]])?.map { "\($0["stage"] ?? "") \($0["replica"] ?? "")" } == ["prefill 1", "prefill 2", "decode 1", "decode 2"])
        let text = try Command.run("explain", path, in: folder.path).output
        #expect(text.contains("replica 2 of 2") && text.contains("4 pairs of replicas") && text.contains("handoff a -> c, b -> c, layers 0..<30"), "\(text)")
    }

    @Test("explain lists the handoff's time for each device of a stage that is split")
    func splitTimes() throws {
        let folder = try Scratch()
        let path = try manifest(folder, "  a: cpu\n  b: cpu\n  c: cpu\n", "stages: {prefill: a, decode: {devices: [b, c], split: layers}}\n")
        let times = try Command.run("explain", path, "--json", in: folder.path).json["times"] as? [[String: Any]] ?? []
        let handoff = times.compactMap { $0["what"] as? String }.filter { $0.hasPrefix("KV") }
        #expect(handoff == ["KV export from a", "KV export from a", "KV import to b", "KV import to c"])
    }

    @Test("explain draws the graph, and drivers, devices and call answer")
    func others() throws {
        let folder = try Scratch()
        let path = try manifest(folder, "  host: cpu\n")
        #expect(try Command.run("explain", path, "--svg", "g.svg", in: folder.path).status == 0)
        #expect(try String(contentsOfFile: folder.path + "/g.svg", encoding: .utf8).hasPrefix("<"))
        #expect(try Command.run("explain", path, "--dot", in: folder.path).output.contains("digraph"))
        let report = try Command.run("drivers", "--json", in: folder.path).json["report"] as? [String: Any]
        #expect((report?["candidates"] as? [[String: Any]])?.contains { $0["name"] as? String == "cpu" && $0["decision"] as? String == "loaded" } == true)
        #expect(try Command.run("devices", path, in: folder.path).output.contains("cpu"))
        #expect(try Command.run("call", "libm.so.6", "f64 cos(f64)", "0.5", in: folder.path).output.hasPrefix("0.87758256"))
    }
}
