import Engine
import Foundation
import Logging
import Testing

@testable import Server

/// Nobody in without a key, and nobody beyond what a key allows.
@Suite(.timeLimit(.minutes(10)))
struct GateTests {
    private static let ask = #"{"model": "tiny", "prompt": "hi", "max_tokens": 2}"#

    private func ring(_ limits: KeyFile.Limits = .init(), priority: Bool = false) throws -> (ring: KeyRing, token: String) {
        var file = KeyFile()
        let token = try file.add("alice", limits: limits, mayHavePriority: priority)
        _ = try file.add("bob")
        return (try KeyRing(json: Array(file.json().utf8), file: "keys.json"), token)
    }

    private func bearer(_ token: String) -> [String: String] { ["authorization": "Bearer " + token] }

    @Test("the right key is let in, under its name; none, a wrong one and another scheme are not")
    func keys() async throws {
        let (ring, token) = try ring()
        let engine = ScriptedEngine()
        try await TestServer.with(engine, keys: ring) { (server: TestServer) async throws -> Void in
            for headers in [[:], bearer("baton-wrong"), bearer(""), ["authorization": "Basic YTpi"], ["authorization": token], bearer(token + "x")] {
                let reply = try await server.post("/v1/completions", Self.ask, headers)
                #expect(reply.status == 401)
                #expect(reply.error["code"] as? String == "invalid_api_key")
            }
            #expect(engine.requests.isEmpty)
            #expect(try await server.post("/v1/completions", Self.ask, bearer(token)).status == 200)
            #expect(engine.requests.map(\.client) == ["alice"])
        }
    }

    @Test(
        "no spelling of a path gets around the gate",
        arguments: [
            "/v1/models", "//v1//models", "/v1/models/", "/v1/./models", "/healthz/../v1/models", "/v1/models?x=/healthz", "/v1/models%2F", "/%76%31/models",
            "/V1/models", "/metrics", "//metrics", "/metrics/", "/healthz/../metrics", "/healthz/metrics", "/v1/models/..%2f..%2fhealthz", "/v1\\models",
        ])
    func paths(path: String) async throws {
        try await TestServer.with(ScriptedEngine(), keys: ring().ring) { (server: TestServer) async throws -> Void in
            #expect(try await [400, 401].contains(server.get(path).status))
            #expect(try await server.get("/healthz").status == 200)
        }
    }

    @Test("an absolute target is routed by its path, behind the gate")
    func absolute() async throws {
        try await TestServer.with(ScriptedEngine(), keys: ring().ring) { (server: TestServer) async throws -> Void in
            #expect(try await [400, 401].contains(server.get("http://127.0.0.1/v1/models").status))
        }
    }

    @Test("without a key the body is not waited for")
    func early() async throws {
        try await TestServer.with(ScriptedEngine(), keys: ring().ring) { (server: TestServer) async throws -> Void in
            // The server hangs up on the rest of the body, which may cost a slow reader the answer: then nothing comes, and never a body's answer.
            var statuses: [Int] = []
            for _ in 0..<5 where !statuses.contains(401) {
                statuses.append(try await server.post("/v1/completions", "{", ["content-length": "4000000"]).status)
            }
            #expect(statuses.last == 401 && statuses.allSatisfy { [0, 401].contains($0) }, "\(statuses)")
        }
    }

    @Test("without keys the server listens on loopback only")
    func loopback() throws {
        var settings = ServerSettings()
        settings.host = "0.0.0.0"
        #expect(throws: ServerError.self) { try Server(model: TestServer.model(ScriptedEngine()), settings: settings, logger: .init(label: "test")) }
        #expect(["127.0.0.1", "127.9.9.9", "localhost", "::1"].allSatisfy(ServerSettings.isLoopback))
        #expect(!["127.0.0.1.evil.example", "0.0.0.0", "10.0.0.1", "127.0.0", "", "localhost.evil.example"].contains(where: ServerSettings.isLoopback))
    }

    @Test("without keys a page of another site is turned away", arguments: [["host": "evil.example"], ["origin": "https://evil.example"], ["origin": "null"]])
    func strangers(headers: [String: String]) async throws {
        try await TestServer.with(ScriptedEngine()) { (server: TestServer) async throws -> Void in
            #expect(try await server.post("/v1/completions", Self.ask, headers).status == 403)
            #expect(try await server.post("/v1/completions", Self.ask, ["host": "localhost:\(server.port)", "origin": "http://localhost:\(server.port)"]).status == 200)
        }
    }

    @Test("a key's limits of requests, tokens and requests at once are kept, with when to ask again")
    func limits() async throws {
        let (ring, token) = try ring(.init(requestsPerMinute: 2))
        try await TestServer.with(ScriptedEngine(), keys: ring) { (server: TestServer) async throws -> Void in
            let head = bearer(token)
            // All at once, so that a slow machine gives the allowance no time to fill again between them.
            let replies = try await withThrowingTaskGroup(of: Reply.self) { group in
                for _ in 0..<8 { group.addTask { try await server.post("/v1/completions", Self.ask, head) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let refused = replies.filter { $0.status == 429 }
            #expect(replies.contains { $0.status == 200 } && replies.allSatisfy { [200, 429].contains($0.status) })
            #expect(!refused.isEmpty)
            for reply in refused {
                #expect(reply.error["code"] as? String == "rate_limit_exceeded")
                #expect((1...30).contains(Int(reply.headers["retry-after"] ?? "") ?? 0))
            }
        }
    }

    @Test("requests at once are counted from beginning to end")
    func concurrent() async throws {
        let (ring, token) = try ring(.init(concurrent: 1))
        let engine = ScriptedEngine(.begins)
        try await TestServer.with(engine, keys: ring) { (server: TestServer) async throws -> Void in
            async let first = server.post("/v1/completions", Self.ask, bearer(token))
            try await TestServer.until { engine.active == 1 }
            #expect(try await server.post("/v1/completions", Self.ask, bearer(token)).status == 429)
            engine.release()
            #expect(try await first.status == 200)
            #expect(try await server.post("/v1/completions", Self.ask, bearer(token)).status == 200)
        }
    }

    @Test("an allowance fills over a minute, and a completion's tokens are owed at its end")
    func allowance() throws {
        let minute: UInt64 = 60_000_000_000
        var allowance = Allowance(ClientLimits(requestsPerMinute: 60, tokensPerMinute: 100), now: 0)
        try allowance.begin(promptTokens: 40, now: 0)
        allowance.end(completionTokens: 100, now: 0)
        let refusal = #expect(throws: Refusal.self) { try allowance.begin(promptTokens: 10, now: 0) }
        #expect(abs((refusal?.retryAfter ?? 0) - 30) < 1)
        try allowance.begin(promptTokens: 10, now: minute / 2)
        #expect(throws: Refusal.self) { try allowance.begin(promptTokens: 100, now: minute) }
        try allowance.begin(promptTokens: 500, now: 3 * minute)
    }

    @Test("only a key that may asks to go first")
    func priority() async throws {
        for may in [false, true] {
            let (ring, token) = try ring(priority: may)
            let engine = ScriptedEngine()
            try await TestServer.with(engine, keys: ring) { (server: TestServer) async throws -> Void in
                let body = #"{"model": "tiny", "prompt": "hi", "max_tokens": 1, "service_tier": "priority"}"#
                let reply = try await server.post("/v1/completions", body, bearer(token))
                #expect(reply.json["service_tier"] as? String == (may ? "priority" : "default"))
                #expect(engine.requests.map(\.priority) == [may ? .priority : .standard])
            }
        }
    }

    @Test(
        "a file of keys that is wrong is refused with what is wrong",
        arguments: [
            ("", "JSON"), (#"{"keys": []}"#, "no keys"), (#"{"keys": [{"name": "a"}]}"#, "neither"), (#"{"keys": [{"name": "a", "hash": "md5:1:2"}]}"#, "hash"),
            (#"{"keys": [{"name": "a", "hash": 5}]}"#, "keys[0].hash"),
            (#"{"keys": [{"name": "a", "access_key": "k", "secret_key": "s", "concurrent": 0}]}"#, "concurrent"),
            (#"{"keys": [{"name": "a", "access_key": "k", "secret_key": "s"}, {"name": "a", "access_key": "l", "secret_key": "s"}]}"#, "two keys"),
        ])
    func files(text: String, word: String) {
        let error = #expect(throws: ServerError.self) { try KeyRing(json: Array(text.utf8), file: "keys.json") }
        #expect(error?.description.contains(word) == true, "\(error?.description ?? "")")
    }

    @Test("a file of keys holds no key, and no two hashes of one key are alike")
    func hashes() throws {
        var file = KeyFile()
        let token = try file.add("alice")
        let text = try file.json()
        #expect(!text.contains(token.dropFirst(6)))
        #expect(KeyHash(of: token) != KeyHash(of: token))
        #expect(KeyHash(of: token).matches(token))
        #expect(KeyHash(KeyHash(of: token).description)?.matches(token) == true)
    }
}
