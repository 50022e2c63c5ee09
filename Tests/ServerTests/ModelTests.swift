@testable import Engine
import Driver
import Foundation
import Model
import TestKit
import Testing
import Tokens

@testable import Server

/// The whole way over HTTP with the real model and devices. Skipped aloud where the model is not.
@Suite(.serialized, .timeLimit(.minutes(15)), .enabled(if: TestModel.path != nil && TestDrivers.has("cpu"), "the model or the cpu driver is not there; run `baton model pull`"))
struct ModelTests {
    /// One engine for all: opening takes longer than the tests.
    static func engine(_ apart: Bool, kvTokens: Int = 6144, _ change: (inout ServingEngine.Settings) -> Void = { _ in }) throws -> ServingEngine {
        let host = StageDevices.Named(label: "a", driver: "cpu", options: [:])
        let other = apart ? StageDevices.Named(label: "b", driver: "cpu", options: [:]) : host
        let placement = try Placement(
            model: TestModel.open(), prefill: StageDevices(stage: "prefill", devices: [host]), decode: StageDevices(stage: "decode", devices: [other]),
            context: 512, sequences: 16, kvTokens: kvTokens, catalog: TestDrivers.catalog())
        guard let file = placement.model.file else { throw EngineError(.usage, "no weights") }
        var settings = ServingEngine.Settings()
        settings.handoff = HandoffSettings(deadline: 60_000_000_000)
        change(&settings)
        return try ServingEngine(opening: placement, tokenizer: TestModel.tokenizer(file), settings: settings)
    }

    /// Two devices that keep KV in dtypes of their own, so that it really travels.
    static func travelling(
        _ layers: (prefill: [LayerName], decode: [LayerName]), sequences: Int, isolation: (String) -> Isolation? = { _ in nil },
        _ change: (inout ServingEngine.Settings) -> Void
    ) throws -> ServingEngine {
        func stage(_ name: String, _ label: String, _ options: DriverOptions, _ layers: [LayerName]) -> StageDevices {
            StageDevices(stage: name, devices: [.init(label: label, driver: "cpu", options: options, layers: layers, isolation: isolation(name))])
        }
        let placement = try Placement(
            model: TestModel.open(), prefill: stage("prefill", "a", ["kv_dtype": "f32"], layers.prefill), decode: stage("decode", "b", [:], layers.decode),
            context: 512, sequences: sequences, kvTokens: 2048, catalog: TestDrivers.catalog())
        guard let file = placement.model.file else { throw EngineError(.usage, "no weights") }
        var settings = ServingEngine.Settings()
        settings.handoff = HandoffSettings(deadline: 60_000_000_000)
        change(&settings)
        return try ServingEngine(opening: placement, tokenizer: TestModel.tokenizer(file), settings: settings)
    }

    static func model(_ engine: ServingEngine) throws -> ServedModel {
        let source = try engine.placements[0].model.file?.stringIfPresent("tokenizer.chat_template") ?? ""
        return ServedModel(
            id: "smol", created: 1, tokenizer: engine.tokenizer, template: try ChatTemplate(source: source, bos: "<|im_start|>", eos: "<|im_end|>"),
            context: 512, engine: engine)
    }

    private static func text(_ reply: Reply) -> String {
        if !reply.events.isEmpty {
            return reply.events.compactMap { (($0["choices"] as? [[String: Any]])?.first?["delta"] as? [String: Any])?["content"] as? String }.joined()
        }
        return (((reply.json["choices"] as? [[String: Any]])?.first)?["message"] as? [String: Any])?["content"] as? String ?? "none: \(reply.body)"
    }

    private static func body(_ question: String, streams: Bool) -> String {
        #"{"model": "smol", "messages": [{"role": "user", "content": "\#(question)"}], "max_tokens": 10, "temperature": 0, "stream": \#(streams)}"#
    }

    @Test("answers under load are those alone: sixteen at once, streamed or not, cached or not, either mode")
    func underLoad() async throws {
        let engine = try Self.engine(true)
        defer { engine.close() }
        let long = String(repeating: "The quick brown fox jumps over the lazy dog. ", count: 15)
        let questions = ["What is gravity?", "Name a colour.", "Count to ten.", long + "What animal jumps?", long + "What animal is lazy?"]
        try await TestServer.with(engine, model: Self.model(engine)) { (server: TestServer) async throws -> Void in
            var alone: [String] = []
            for question in questions {
                let reply = try await server.post("/v1/chat/completions", Self.body(question, streams: false), ["x-baton-route-mode": "disaggregated"])
                #expect(reply.headers["x-baton-route"]?.hasPrefix("disaggregated") == true)
                alone.append(Self.text(reply))
            }
            let modes = ["disaggregated", "aggregated", "auto"]
            let together = try await withThrowingTaskGroup(of: (Int, String).self) { group in
                for number in 0..<16 {
                    group.addTask {
                        let body = Self.body(questions[number % questions.count], streams: number % 2 == 0)
                        return (number, Self.text(try await server.post("/v1/chat/completions", body, ["x-baton-route-mode": modes[number % 3]])))
                    }
                }
                return try await group.reduce(into: [Int: String]()) { $0[$1.0] = $1.1 }
            }
            for (number, text) in together { #expect(text == alone[number % questions.count], "request \(number)") }
            #expect(engine.metrics.prefixHitTokens > 0)
            #expect(engine.metrics.kv.allSatisfy { $0.used == 0 })
            let metrics = try await server.get("/metrics").body
            #expect(metrics.contains(#"baton_requests_total{outcome="completed"} 21"#))
        }
    }

    @Test("clients that leave in every phase leave no KV behind, and the next answer is as ever")
    func leave() async throws {
        let engine = try Self.engine(true, kvTokens: 2048)
        defer { engine.close() }
        try await TestServer.with(engine, model: Self.model(engine)) { (server: TestServer) async throws -> Void in
            let question = String(repeating: "one two three ", count: 60)
            let before = Self.text(try await server.post("/v1/chat/completions", Self.body("What is gravity?", streams: false)))
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<12 {
                    group.addTask {
                        let text = TestServer.text("POST", "/v1/chat/completions", Self.body(question + "\(number)", streams: number % 2 == 0))
                        let port = server.port
                        try await Wire.blocking {
                            let wire = try Wire(port: port)
                            wire.send(text)
                            usleep(UInt32(number) * 40_000)
                            wire.reset()
                        }
                    }
                }
                try await group.waitForAll()
            }
            try await TestServer.until { engine.metrics.running == 0 && engine.metrics.queued == 0 }
            #expect(engine.metrics.kv.allSatisfy { $0.used == 0 && $0.quarantined == 0 })
            #expect(try await Self.text(server.post("/v1/chat/completions", Self.body("What is gravity?", streams: false))) == before)
        }
    }

    @Test("what requires the disaggregated way is refused where there is none")
    func required() async throws {
        let engine = try Self.engine(false, kvTokens: 256)
        defer { engine.close() }
        try await TestServer.with(engine, model: Self.model(engine)) { (server: TestServer) async throws -> Void in
            let large = try await server.post("/v1/completions", #"{"model": "smol", "prompt": "Hi", "max_tokens": 500}"#)
            #expect(large.error["code"] as? String == "context_length_exceeded")
            let reply = try await server.post("/v1/chat/completions", Self.body("Hi", streams: false), ["x-baton-route-mode": "require_disaggregated"])
            #expect(reply.status == 400)
            let other = try await server.post("/v1/chat/completions", Self.body("Hi", streams: false))
            #expect(other.headers["x-baton-route"] == "aggregated; both stages are on one device")
        }
    }

    @Test("between device models the handoff's modelled times are counted beside the wall's", .enabled(if: TestDrivers.has("trainium3") && TestDrivers.has("cs3"), "needs the device models"))
    func modelledHandoff() async throws {
        func stage(_ name: String, _ driver: String) -> StageDevices { StageDevices(stage: name, devices: [.init(label: driver, driver: driver, options: [:])]) }
        let placement = try Placement(
            model: TestModel.open(), prefill: stage("prefill", "trainium3"), decode: stage("decode", "cs3"), context: 512, sequences: 2, kvTokens: 512,
            catalog: TestDrivers.catalog())
        guard let file = placement.model.file else { throw EngineError(.usage, "no weights") }
        let engine = try ServingEngine(opening: placement, tokenizer: TestModel.tokenizer(file))
        defer { engine.close() }
        try await TestServer.with(engine, model: Self.model(engine)) { (server: TestServer) async throws -> Void in
            func seconds(_ name: String) async throws -> Double? {
                let line = try await server.get("/metrics").body.split(separator: "\n").first { $0.hasPrefix(name + " ") }
                return line.flatMap { Double($0.split(separator: " ").last ?? "") }
            }
            #expect(try await seconds("baton_handoff_modelled_exposed_seconds_total") == nil, "none was made yet")
            let reply = try await server.post("/v1/chat/completions", Self.body("Hi", streams: false), ["x-baton-route-mode": "disaggregated"])
            #expect(reply.status == 200)
            let figures = engine.metrics
            let exposed = try #require(try await seconds("baton_handoff_modelled_exposed_seconds_total"))
            let hidden = try #require(try await seconds("baton_handoff_modelled_hidden_seconds_total"))
            // Far from the wall's: the models' clocks are their own.
            #expect(exposed > 0 && hidden > 0 && exposed == Double(figures.handoffModelledExposed ?? 0) / 1e9)
            #expect(try await seconds("baton_handoff_exposed_seconds_total") == Double(figures.handoffExposed) / 1e9)
            #expect(figures.handoffModelledExposed != figures.handoffExposed)
        }
    }

    @Test("the openai package of PyPI finds what it expects")
    func openAI() async throws {
        let folder = TestDrivers.folder + "/openai-venv"
        let script = #filePath.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 } + "/openai_client.py"
        guard try await Wire.blocking({ Self.hasPackage(folder) }) else {
            print("skipped: the openai package cannot be installed here, so it was not run against the server")
            return
        }
        let engine = try Self.engine(true)
        defer { engine.close() }
        try await TestServer.with(engine, model: Self.model(engine)) { (server: TestServer) async throws -> Void in
            let url = "http://127.0.0.1:\(server.port)/v1"
            let result = try await Wire.blocking { try Self.run(folder + "/bin/python", [script, url]) }
            #expect(result.status == 0, "\(result.output)")
        }
    }

    /// Whether the package is in `folder`, or could be put there.
    private static func hasPackage(_ folder: String) -> Bool {
        func isThere() -> Bool { (try? run(folder + "/bin/python", ["-c", "import openai"]))?.status == 0 }
        if isThere() { return true }
        guard (try? run("/usr/bin/env", ["python3", "-m", "venv", folder]))?.status == 0 else { return false }
        _ = try? run(folder + "/bin/pip", ["install", "--quiet", "--disable-pip-version-check", "openai>=1.40"])
        return isThere()
    }

    private static func run(_ path: String, _ arguments: [String]) throws -> (status: Int32, output: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        let pipe = Pipe()
        (process.standardOutput, process.standardError) = (pipe, pipe)
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: output, as: UTF8.self))
    }
}
