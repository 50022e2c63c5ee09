import Foundation
import Glibc
import TestKit
import Testing

@testable import Server

/// The command itself as a process: it outlives a storm, leaks nothing, and ends as it should.
@Suite(.timeLimit(.minutes(15)), .enabled(if: TestModel.path != nil && ServeProcess.isThere, "the model or the command is not there"))
struct ProcessTests {
    @Test("a storm leaves no KV, no descriptor and no memory behind, and SIGTERM finishes what runs and refuses what is new")
    func storm() async throws {
        let process = try await Wire.blocking { try ServeProcess() }
        defer { process.kill() }
        let port = process.port
        let token = process.token
        func storm(_ seed: Int) async throws {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for client in 0..<4 {
                    let dice = StormTests.SystemlessDice(state: UInt64(seed * 100 + client) &* 7919 &+ 1)
                    group.addTask { _ = try await Wire.blocking { try StormTests.client(dice, port, token, StormTests.count / 20) } }
                }
                try await group.waitForAll()
            }
            try await TestServer.until { process.descriptors <= process.idleDescriptors }
        }
        try await storm(1)
        let memory = try await process.figures.settledKilobytes()
        try await storm(2)
        try await storm(3)
        #expect(process.residentKilobytes < memory + 48 << 10)
        let metrics = try await process.ask(TestServer.text("GET", "/metrics", "", process.bearer)).body
        let used = metrics.split(separator: "\n").filter { $0.hasPrefix("baton_kv_blocks") && $0.contains("state=\"used\"") }
        #expect(!used.isEmpty && used.allSatisfy { $0.hasSuffix(" 0") }, "\(used)")

        let body = #"{"model": "tiny", "prompt": "The capital of France is", "max_tokens": 24, "stream": true}"#
        let text = TestServer.text("POST", "/v1/completions", body, process.bearer)
        let late = try await Wire.blocking { Wire.Held(wire: try Wire(port: port)) }
        async let running = process.ask(text) { process.terminate() }
        // On a connection that was there, and on one that was not.
        let refused = try await Wire.blocking { () -> [Int] in
            while process.answers("/readyz") == 200 { usleep(2_000) }
            late.wire.send(text)
            return [Reply(late.wire.read()).status, process.status(of: text)]
        }
        #expect(refused.allSatisfy { $0 == 503 || $0 == 0 }, "\(refused)")
        #expect(try await running.body.hasSuffix("data: [DONE]\n\n"))
        #expect(try await Wire.blocking { process.wait() } == 0)
    }

    @Test(
        "all replicas of a manifest's stages are served: each takes a share, the answers are the same, and route and metrics name the devices",
        arguments: ["decode: {replicas: [a, b]}}\nrouting: aggregated\n", "prefill: {replicas: [a, b]}, decode: c}\nrouting: disaggregated\n"])
    func replicas(stages: String) async throws {
        let process = try await Wire.blocking { try ServeProcess(devices: "  a: cpu\n  b: cpu\n  c: cpu\nstages: {" + stages) }
        defer { process.kill() }
        // One prompt, so that all have one answer; of 15 tokens and so of no whole block that could be found again.
        let body = #"{"model": "tiny", "prompt": "The capital of France is", "max_tokens": 16, "temperature": 0}"#
        let text = TestServer.text("POST", "/v1/completions", body, process.bearer)
        let replies = try await withThrowingTaskGroup(of: Reply.self) { group in
            for _ in 0..<6 { group.addTask { try await process.ask(text) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        let said = replies.map { reply in
            let object = try? JSONSerialization.jsonObject(with: Data(reply.body.utf8)) as? [String: Any]
            return (object?["choices"] as? [[String: Any]])?.first?["text"] as? String
        }
        #expect(Set(said).count == 1 && said[0]?.contains("Paris") == true, "\(said)")
        let places = Set(replies.compactMap { $0.headers["x-baton-route"]?.split(separator: ";").last.map(String.init) })
        let metrics = try await process.ask(TestServer.text("GET", "/metrics", "", process.bearer)).body
        let taken = metrics.split(separator: "\n").filter { $0.hasPrefix("baton_route_decisions_total") && !$0.hasSuffix(" 0") }
        #expect(taken.count == 2 && taken.allSatisfy { ($0.split(separator: " ").last.flatMap { Int($0) } ?? 0) >= 2 }, "\(taken)")
        let wanted: Set = stages.hasPrefix("decode")
            ? [" prefill and decode on a", " prefill and decode on b"] : [" prefill on a, decode on c", " prefill on b, decode on c"]
        #expect(places == wanted, "\(places)")
        process.terminate()
        #expect(try await Wire.blocking { process.wait() } == 0)
    }

    @Test("a command line that would let anybody in is refused in one line", arguments: [["--host", "0.0.0.0"], ["--tls-cert", "none.pem", "--tls-key", "none.pem"]])
    func refused(arguments: [String]) async throws {
        let (status, error) = try await Wire.blocking { try ServeProcess.refusal(arguments) }
        #expect(status == 2)
        #expect(error.hasPrefix("baton: ") && error.split(separator: "\n").count == 1, "\(error)")
    }
}

/// `baton serve` with a key, on a free port.
final class ServeProcess: @unchecked Sendable {
    static var path: String { TestDrivers.folder + "/baton" }
    static var isThere: Bool { access(path, X_OK) == 0 && TestDrivers.has("cpu") }

    private let process = Process()
    private let folder: String
    let token: String
    let port: Int
    /// Descriptors that it has open when nobody is connected.
    private(set) var idleDescriptors = 0

    /// - Parameters:
    ///   - options: more of the command line.
    ///   - devices: of the manifest, and what comes after them.
    init(_ options: [String] = [], devices: String = "  host: cpu\n") throws {
        folder = try Self.scratch(devices)
        token = try Self.output(["keys", "add", folder + "/keys.json", "alice"]).trimmingCharacters(in: .newlines)
        process.executableURL = URL(fileURLWithPath: Self.path)
        process.arguments = [
            "serve", folder + "/one.yaml", "--port", "0", "--keys", folder + "/keys.json", "--model-id", "tiny", "--max-sequences", "4", "--kv-tokens", "2048",
            "--max-body-bytes", "65536", "--quiet",
        ] + options
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardInput = FileHandle.nullDevice
        try process.run()
        var line: [UInt8] = []
        while let byte = try pipe.fileHandleForReading.read(upToCount: 1)?.first, byte != 10 { line.append(byte) }
        port = Int(String(decoding: line, as: UTF8.self).split(separator: ":").last ?? "") ?? 0
        idleDescriptors = descriptors
    }

    private static func scratch(_ devices: String = "  host: cpu\n") throws -> String {
        let folder = NSTemporaryDirectory() + "baton-serve-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let text = "baton: 1\nmodel: \(TestModel.path ?? "")\ndevices:\n\(devices)"
        try Data(text.utf8).write(to: URL(fileURLWithPath: folder + "/one.yaml"))
        return folder
    }

    private static func output(_ arguments: [String]) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: output, as: UTF8.self)
    }

    /// How a command line that is wrong ends, and what it says.
    static func refusal(_ arguments: [String]) throws -> (status: Int32, error: String) {
        let folder = try scratch()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = ["serve", folder + "/one.yaml", "--port", "0", "--kv-tokens", "512"] + arguments
        let pipe = Pipe()
        process.standardError = pipe
        try process.run()
        let error = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: error, as: UTF8.self))
    }

    var bearer: [String: String] { ["authorization": "Bearer " + token] }
    var figures: ProcessFigures { ProcessFigures(process.processIdentifier) }
    var descriptors: Int { figures.descriptors }
    var residentKilobytes: Int { figures.residentKilobytes }

    /// - Parameter begun: called once the answer has begun to come.
    func ask(_ text: String, begun: @escaping @Sendable () -> Void = {}) async throws -> Reply {
        let port = self.port
        return try await Wire.blocking {
            let wire = try Wire(port: port)
            wire.send(text)
            let first = wire.read { !$0.isEmpty }
            begun()
            return Reply(first + wire.read())
        }
    }

    /// The status that a request gets; 0 where nobody takes it. Blocks.
    func status(of text: String) -> Int {
        guard let wire = try? Wire(port: port) else { return 0 }
        wire.send(text)
        return Reply(wire.read()).status
    }
    func answers(_ path: String) -> Int { status(of: TestServer.text("GET", path)) }

    func terminate() { process.terminate() }
    func kill() {
        if process.isRunning { Glibc.kill(process.processIdentifier, SIGKILL) }
    }

    func wait() -> Int32 {
        process.waitUntilExit()
        return process.terminationStatus
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }
}
