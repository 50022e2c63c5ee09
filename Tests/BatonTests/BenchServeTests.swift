import Foundation
import TestKit
import Testing

/// `baton bench serve` against `baton serve` and the real model, small.
@Suite(.enabled(if: Command.isThere && TestModel.path != nil && TestDrivers.has("cpu"), "the command, the model or the cpu driver is not there"))
struct BenchServeTests {
    private func bench(_ folder: Scratch, _ arguments: [String]) throws -> Command {
        let path = try folder.write("m.yaml", "baton: 1\nmodel: \(TestModel.path ?? "")\ndevices:\n  host: cpu\n")
        return try Command.run(["bench", "serve", path] + arguments, in: folder.path, environment: ["BATON_THREADS": "2"])
    }

    @Test("a manifest is served, measured and stopped: every request has all of its tokens, by the server's count")
    func closed() throws {
        let folder = try Scratch()
        let result = try bench(
            folder, ["--concurrency", "1,3", "--requests", "4", "--input-length", "12", "--output-length", "5", "--slo", "e2e=1000s", "--json", "-", "--html", "r.html", "--svg", "r.svg"])
        #expect(result.status == 0, "\(result.error)")
        let loads = try #require(result.json["loads"] as? [[String: Any]])
        #expect(loads.map { $0["clients"] as? Int } == [1, 3])
        for load in loads {
            #expect(load["completed"] as? Int == 4 && load["failed"] as? Int == 0 && load["tokens_stated"] as? Bool == true, "\(load)")
            #expect(load["output_tokens"] as? Int == 20 && (load["prompt_tokens"] as? Int ?? 0) >= 4 * 10 && load["cached_tokens"] as? Int == 0)
            #expect((load["goodput"] as? [String: Any])?["requests"] as? Int == 4)
            #expect((load["ttft_ms"] as? [String: Any])?["count"] as? Int == 4)
        }
        for name in ["r.html", "r.svg"] { #expect(try String(contentsOfFile: folder.path + "/" + name, encoding: .utf8).contains("3 clients")) }
    }

    @Test("a trace is played with its lengths; what does not fit the context fails by kind and by itself")
    func trace() throws {
        let folder = try Scratch()
        try folder.write(
            "trace.jsonl",
            """
            {"timestamp": 0, "input_length": 40, "output_length": 3, "hash_ids": [7]}
            {"timestamp": 50, "input_length": 40, "output_length": 2, "hash_ids": [7]}
            {"timestamp": 60, "input_length": 20000, "output_length": 2, "hash_ids": [8]}
            """)
        let result = try bench(folder, ["--trace", "trace.jsonl", "--warmup", "0", "--json", "-"])
        #expect(result.status == 0, "\(result.error)")
        let load = try #require((result.json["loads"] as? [[String: Any]])?.first)
        #expect(load["completed"] as? Int == 2 && load["output_tokens"] as? Int == 5)
        #expect(load["errors"] as? [String: Int] == ["status 400 context_length_exceeded": 1], "\(load)")
    }

    @Test("what cannot be measured is one line", arguments: [
        ["nothing.yaml"], ["ftp://127.0.0.1"], ["http://127.0.0.1:9", "--slo", "ttft=soon"], ["http://127.0.0.1:9", "--trace", "nothing.jsonl"],
    ])
    func refused(arguments: [String]) throws {
        let folder = try Scratch()
        let result = try Command.run(["bench", "serve"] + arguments, in: folder.path)
        #expect(result.status == 2 && result.output.isEmpty && result.errorLines == 1, "\(result.error)")
    }

    @Test("options that contradict each other or are out of range are refused", arguments: [
        ["--concurrency", "1", "--rate", "1"], ["--concurrency", "0"], ["--rate", "0"], ["--requests", "0"], ["--speed", "0"], ["--duration", "5"],
        ["--trace", "a", "--prompts", "b"], ["--input-length", "0"],
    ])
    func options(arguments: [String]) throws {
        let folder = try Scratch()
        let result = try Command.run(["bench", "serve", "http://127.0.0.1:9"] + arguments, in: folder.path)
        #expect(result.status == 64 && result.output.isEmpty)
    }
}
