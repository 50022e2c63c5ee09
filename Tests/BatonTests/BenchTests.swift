import Foundation
import TestKit
import Testing

/// `baton bench` on the real model, small.
@Suite(.enabled(if: Command.isThere && TestModel.path != nil && TestDrivers.has("cpu"), "the command, the model or the cpu driver is not there"))
struct BenchTests {
    private struct Report: Decodable {
        struct Row: Decodable {
            var kind: String
            var tokens, depth, batch: Int
            var device, clock: String
            var tok_s: [Double]
        }
        var rows: [Row]
    }

    private func bench(_ devices: String, _ stages: String = "", _ arguments: String...) throws -> Command {
        let folder = try Scratch()
        let path = try folder.write("m.yaml", "baton: 1\nmodel: \(TestModel.path ?? "")\ndevices:\n\(devices)\(stages)")
        return try Command.run(["bench", path] + arguments, in: folder.path)
    }

    private func rows(_ command: Command) throws -> [Report.Row] {
        try JSONDecoder().decode(Report.self, from: Data(command.output.utf8)).rows
    }

    @Test("every combination of lists is a row with a sample for each repetition")
    func lists() throws {
        let rows = try rows(bench("  host: cpu\n", "", "-p", "8,16", "-n", "2", "-d", "0,20", "-b", "1,3", "-r", "2", "-t", "2", "--json"))
        #expect(rows.map { "\($0.kind) \($0.tokens) \($0.depth) \($0.batch)" } == [
            "prefill 8 0 1", "prefill 16 0 1", "prefill 8 20 1", "prefill 16 20 1", "decode 2 0 1", "decode 2 0 3", "decode 2 20 1", "decode 2 20 3",
        ])
        #expect(rows.allSatisfy { $0.tok_s.count == 2 && $0.tok_s.allSatisfy { $0 > 0 } && $0.clock == "wall" && $0.device == "host" })
    }

    @Test("a device model's modelled rates are rows of their own", .enabled(if: TestDrivers.has("trainium3") && TestDrivers.has("cs3"), "needs the device models"))
    func clocks() throws {
        let rows = try rows(bench(
            "  trn: trainium3\n  wse: cs3\n", "stages:\n  prefill: {device: trn}\n  decode: {device: wse}\n", "-p", "8", "-n", "2", "-r", "1", "--json"))
        #expect(rows.map { "\($0.kind) \($0.device) \($0.clock)" } == ["prefill trn wall", "prefill trn modelled", "decode wse wall", "decode wse modelled"])
    }

    @Test("of a stage with replicas every one is measured, once")
    func replicas() throws {
        let stages = "stages: {prefill: {replicas: [a, b]}, decode: {replicas: [b, c]}}\n"
        let rows = try rows(bench("  a: cpu\n  b: cpu\n  c: cpu\n", stages, "-p", "8", "-n", "2", "-r", "1", "--json"))
        #expect(rows.map { "\($0.kind) \($0.device)" }.sorted() == ["decode b", "decode c", "prefill a", "prefill b"])
    }

    @Test("lists that are none, and rows longer than the context, are one line", arguments: [["-p", "x"], ["-n", "-1"], ["-b", "0"], ["-r", "0"], ["-d", "9000"], ["-t", "0"]])
    func refused(arguments: [String]) throws {
        let folder = try Scratch()
        let path = try folder.write("m.yaml", "baton: 1\nmodel: \(TestModel.path ?? "")\ndevices:\n  host: cpu\n")
        let result = try Command.run(["bench", path] + arguments, in: folder.path)
        #expect(result.status != 0)
        #expect(result.output.isEmpty && result.errorLines >= 1)
    }
}
