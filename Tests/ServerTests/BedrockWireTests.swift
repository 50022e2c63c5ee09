import Engine
import Foundation
import Glibc
import Testing

@testable import Server

/// Bedrock's dialect over HTTP, on an engine that does as it is told: what boto3 cannot bring about.
@Suite(.timeLimit(.minutes(10)))
struct BedrockWireTests {
    private static let body = #"{"messages": [{"role": "user", "content": [{"text": "hi"}]}], "inferenceConfig": {"maxTokens": 3}}"#
    private static let path = "/model/baton.tiny/converse"

    private func ring(_ limits: KeyFile.Limits = .init(), priority: Bool = false) throws -> (ring: KeyRing, bearer: [String: String]) {
        var file = KeyFile()
        let token = try file.add("alice", limits: limits, mayHavePriority: priority)
        _ = try file.addSigning("bob")
        return (try KeyRing(json: Array(file.json().utf8), file: "keys.json"), ["authorization": "Bearer \(token)"])
    }

    @Test(
        "what the engine refuses has Bedrock's name and status, streaming or not",
        arguments: [
            (EngineError.Kind.usage, 400, "ValidationException"), (.busy, 429, "ThrottlingException"), (.driver, 500, "InternalServerException"),
            (.handoff, 500, "InternalServerException"),
        ])
    func refused(kind: EngineError.Kind, status: Int, name: String) async throws {
        try await TestServer.with(ScriptedEngine(.refuses(EngineError(kind, "it is so")))) { (server: TestServer) async throws -> Void in
            for path in [Self.path, Self.path + "-stream"] {
                let reply = try await server.post(path, Self.body)
                #expect(reply.status == status)
                #expect(reply.headers["x-amzn-errortype"] == name)
                #expect(reply.headers["x-amzn-requestid"]?.isEmpty == false)
                #expect(reply.json["message"] as? String == "it is so")
                #expect((reply.headers["retry-after"] != nil) == (kind == .busy))
            }
        }
    }

    @Test("a failure after the first event ends the stream with an exception, and an answer in one piece with a status")
    func failed() async throws {
        try await TestServer.with(ScriptedEngine(.fails(EngineError(.driver, "the device is gone")))) { (server: TestServer) async throws -> Void in
            for (path, body, event) in [
                (Self.path + "-stream", Self.body, "contentBlockDelta"),
                ("/model/tiny/invoke-with-response-stream", #"{"prompt": "hi", "max_gen_len": 3}"#, "chunk"),
            ] {
                let port = server.port, text = TestServer.text("POST", path, body)
                let bytes = try await Wire.blocking {
                    let wire = try Wire(port: port)
                    wire.send(text)
                    return wire.read()
                }
                let answer = String(decoding: bytes, as: UTF8.self)
                #expect(answer.hasPrefix("HTTP/1.1 200"))
                for word in [event, ":exception-type", "modelStreamErrorException", "the device is gone"] { #expect(answer.contains(word)) }
                #expect(!answer.contains("messageStop"))
            }
            let reply = try await server.post(Self.path, Self.body)
            #expect(reply.status == 500)
            #expect(reply.headers["x-amzn-errortype"] == "InternalServerException")
        }
    }

    @Test("tiers are priorities where the key may have them", arguments: [true, false])
    func priorities(may: Bool) async throws {
        let (ring, bearer) = try ring(priority: may)
        let engine = ScriptedEngine()
        try await TestServer.with(engine, keys: ring) { (server: TestServer) async throws -> Void in
            for tier in ["flex", "default", "priority"] {
                let body = Self.body.dropLast() + #", "serviceTier": {"type": "\#(tier)"}}"#
                #expect(try await server.post(Self.path, String(body), bearer).status == 200)
            }
            let invoke = #"{"prompt": "hi", "max_gen_len": 3}"#
            let headers = bearer.merging(["x-amzn-bedrock-performanceconfig-latency": "optimized"]) { $1 }
            #expect(try await server.post("/model/tiny/invoke", invoke, headers).status == 200)
            let first: GenerationRequest.Priority = may ? .priority : .standard
            #expect(engine.requests.map(\.priority) == [.flex, .standard, first, first])
            #expect(engine.requests.allSatisfy { $0.client == "alice" })
        }
    }

    @Test("a key's limits hold for Bedrock as well, and are throttling")
    func limits() async throws {
        let (ring, bearer) = try ring(.init(requestsPerMinute: 1))
        try await TestServer.with(ScriptedEngine(), keys: ring) { (server: TestServer) async throws -> Void in
            #expect(try await server.post(Self.path, Self.body, bearer).status == 200)
            let reply = try await server.post(Self.path, Self.body, bearer)
            #expect(reply.status == 429)
            #expect(reply.headers["x-amzn-errortype"] == "ThrottlingException")
            #expect(reply.headers["retry-after"] != nil)
        }
    }

    @Test("a client that leaves in the middle of a stream cancels it")
    func departure() async throws {
        let engine = ScriptedEngine(.begins)
        try await TestServer.with(engine) { (server: TestServer) async throws -> Void in
            let port = server.port, text = TestServer.text("POST", Self.path + "-stream", Self.body)
            try await Wire.blocking {
                let wire = try Wire(port: port)
                wire.send(text)
                _ = wire.read { String(decoding: $0, as: UTF8.self).contains("contentBlockDelta") }
                wire.reset()
            }
            try await TestServer.until { engine.cancelled == 1 }
        }
    }

    @Test(
        "a client that ends its side before it has its answer has left: what it asked is cancelled, and counts as no failure of the server's",
        arguments: [(path, body), ("/model/tiny/invoke", #"{"prompt": "hi"}"#), ("/v1/completions", #"{"model": "tiny", "prompt": "hi"}"#)])
    func ends(path: String, body: String) async throws {
        let engine = ScriptedEngine(.begins)
        try await TestServer.with(engine) { (server: TestServer) async throws -> Void in
            let (port, text) = (server.port, TestServer.text("POST", path, body))
            let reply = try await Wire.blocking {
                let wire = try Wire(port: port)
                wire.send(text)
                while engine.active == 0 { usleep(1_000) }
                wire.endSending()
                return Reply(wire.read())
            }
            #expect(reply.status == 499)
            #expect(engine.cancelled == 1)
        }
    }

    @Test("while the server goes down, what runs is finished and what is new is ServiceUnavailableException")
    func draining() async throws {
        let engine = ScriptedEngine(.begins)
        try await TestServer.with(engine) { (server: TestServer) async throws -> Void in
            async let first = server.post(Self.path, Self.body)
            try await TestServer.until { engine.active == 1 }
            async let stopped: Void = server.stop()
            while try await server.get("/readyz").status == 200 { try await Task.sleep(for: .milliseconds(5)) }
            let reply = try await server.post(Self.path, Self.body)
            engine.release()
            #expect(try await first.status == 200)
            await stopped
            #expect(reply.status == 503)
            #expect(reply.headers["x-amzn-errortype"] == "ServiceUnavailableException")
        }
    }

    @Test("a signature that its head alone gives away is refused before the body is waited for")
    func early() async throws {
        try await TestServer.with(ScriptedEngine(), keys: ring().ring) { (server: TestServer) async throws -> Void in
            let header = "AWS4-HMAC-SHA256 Credential=AKIDNOBODY/20260301/r/bedrock/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + String(repeating: "0", count: 64)
            let reply = try await server.post(
                Self.path, "{", ["authorization": header, "x-amz-date": "20260301T000000Z", "content-length": "4000000"])
            #expect(reply.status == 403)
            #expect(reply.headers["x-amzn-errortype"] == "InvalidSignatureException")
        }
    }

    @Test("an expired key says so, in each dialect's words")
    func expired() async throws {
        let json = #"{"keys": [{"name": "old", "hash": "\#(KeyHash(of: "t"))", "expires": 1000}]}"#
        let ring = try KeyRing(json: Array(json.utf8), file: "keys.json")
        try await TestServer.with(ScriptedEngine(), keys: ring) { (server: TestServer) async throws -> Void in
            let reply = try await server.post(Self.path, Self.body, ["authorization": "Bearer t"])
            #expect(reply.status == 403)
            #expect(reply.headers["x-amzn-errortype"] == "ExpiredTokenException")
            #expect(try await server.get("/v1/models", ["authorization": "Bearer t"]).status == 401)
        }
    }

    @Test("a file of keys with half a pair, an odd access key or one access key twice is refused by name")
    func files() {
        for keys in [
            #"{"name": "a", "access_key": "A"}"#, #"{"name": "a", "hash": "\#(KeyHash(of: "t"))", "secret_key": "s"}"#,
            #"{"name": "a", "access_key": "", "secret_key": "s"}"#, #"{"name": "a", "access_key": "A/B", "secret_key": "s"}"#,
            #"{"name": "a", "access_key": "A", "secret_key": "s"}, {"name": "b", "access_key": "A", "secret_key": "t"}"#,
        ] {
            #expect(throws: ServerError.self, "\(keys)") { try KeyRing(json: Array(#"{"keys": [\#(keys)]}"#.utf8), file: "keys.json") }
        }
    }
}
