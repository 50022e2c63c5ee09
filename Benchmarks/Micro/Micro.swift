import Driver
import Engine
import Foundation
import Model
import Pipeline
import Tokens

/// Measures what the runtime itself costs: a call through the contract, a handoff's copies, the host's work between decode steps, and what of
/// an overlapped handoff a request waits for. Prints one JSON object. Arguments: the model's file, repeats, and the parts that are wanted
/// (`calls`, `isolated`, `copies`, `adoptions`, `host`, `overlap`, `wrappings`; all without any).
@main
struct Micro {
    static func main() throws {
        guard CommandLine.arguments.count > 1 else {
            FileHandle.standardError.write(Data("microbench: give the model's .gguf; see `make bench-micro`\n".utf8))
            exit(64)
        }
        let repeats = CommandLine.arguments.count > 2 ? Int(CommandLine.arguments[2]) ?? 5 : 5
        let bench = try MicroBench(model: CommandLine.arguments[1], repeats: repeats)
        let parts: [(String, () throws -> [MicroRow])] = [
            ("calls", bench.calls), ("isolated", bench.isolatedCalls), ("copies", bench.copies), ("adoptions", bench.adoptions),
            ("host", bench.hostShare), ("overlap", bench.overlap), ("wrappings", bench.wrappings),
        ]
        let wanted = CommandLine.arguments.dropFirst(3)
        let rows = try parts.filter { wanted.isEmpty || wanted.contains($0.0) }.flatMap { try $0.1() }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        print(String(decoding: try encoder.encode(["rows": rows]), as: UTF8.self))
    }
}

/// One thing measured, on the wall clock.
struct MicroRow: Encodable {
    var name: String
    var unit: String
    var samples: [Double]
}
