@testable import Engine
import Foundation
import Glibc
import TestKit
import Testing

@testable import Server

/// Many requests good and bad, mixed by seed. BATON_STORM says how many; a few hundred by default.
@Suite(.timeLimit(.minutes(10)))
struct StormTests {
    static let count = getenv("BATON_STORM").flatMap { Int(String(cString: $0)) } ?? 400

    /// One thing that a client may do.
    private static func text(_ dice: inout SystemlessDice, _ token: String) -> (text: String, leaves: Bool) {
        let good = #"{"model": "tiny", "prompt": "hello", "max_tokens": 3, "stream": \#(dice.below(2) == 0)}"#
        let key = ["authorization": "Bearer " + token]
        let path = "/v1/completions"
        switch dice.below(16) {
        case 0...3: return (TestServer.text("POST", path, good, key), dice.below(4) == 0)
        case 4: return (TestServer.text("POST", path, String(good.prefix(dice.below(good.count))), key), false)
        case 5: return (TestServer.text("POST", path, good, ["authorization": "Bearer baton-\(dice.below(1000))"]), false)
        case 6: return (TestServer.text("POST", path, good), false)
        case 7: return (TestServer.text("POST", path, String(repeating: "[", count: dice.below(60_000)), key), false)
        case 8: return (TestServer.text("POST", path, String(repeating: "x", count: 70_000), key), false)
        case 9: return (TestServer.text("POST", path, good, key.merging(["content-length": "999999999999999999999"]) { $1 }), false)
        case 10: return (TestServer.text("GET", "/../../etc/passwd%00/" + String(repeating: "../", count: dice.below(50)), "", key), false)
        case 11: return (String(decoding: (0..<dice.below(300)).map { _ in UInt8(truncatingIfNeeded: dice.below(128)) }, as: UTF8.self) + "\r\n\r\n", true)
        case 12: return (TestServer.text("POST", path, good, key.merging(["content-length": "-5"]) { $1 }), false)
        case 13: return (TestServer.text("POST", path, good, key.merging(["content-length": "", "transfer-encoding": "chunked"]) { $1 }), true)
        case 14: return (TestServer.text(["PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"][dice.below(5)], path, "", key), true)
        default: return (TestServer.text("POST", path, #"{"model": "tiny", "prompt": "\ud800 \u0000", "max_tokens": 2}"#, key), false)
        }
    }

    /// A generator of its own, so that a seed is a storm.
    struct SystemlessDice {
        var state: UInt64
        mutating func below(_ count: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((state >> 33) % UInt64(max(1, count)))
        }
    }


    @Test("a storm of requests good and bad leaves the server as it was: it answers, nothing runs, no connection stays")
    func storm() async throws {
        var file = KeyFile()
        let token = try file.add("alice")
        let ring = try KeyRing(json: Array(file.json().utf8), file: "keys.json")
        let engine = ScriptedEngine()
        try await TestServer.with(engine, keys: ring, { $0.maxBodyBytes = 65_536 }) { (server: TestServer) async throws -> Void in
            let port = server.port
            let outcomes = try await withThrowingTaskGroup(of: [Int: Int].self) { group in
                for client in 0..<8 {
                    group.addTask {
                        try await Wire.blocking { try Self.client(SystemlessDice(state: UInt64(client) &* 7919 &+ 1), port, token, Self.count / 8) }
                    }
                }
                return try await group.reduce(into: [:]) { all, one in all.merge(one, uniquingKeysWith: +) }
            }
            #expect((outcomes[200] ?? 0) > 0)
            for status in [400, 401, 413] { #expect((outcomes[status] ?? 0) > 0, "\(status)") }
            #expect(outcomes[500] == nil)
            try await TestServer.until { engine.active == 0 }
            #expect(try await server.get("/healthz").status == 200)
            #expect(engine.requests.allSatisfy { $0.client == "alice" })
        }
    }

    /// What came of `count` requests of one client, by status; 0 for none.
    static func client(_ seed: SystemlessDice, _ port: Int, _ token: String, _ count: Int) throws -> [Int: Int] {
        var (dice, outcomes) = (seed, [Int: Int]())
        for _ in 0..<count {
            let (text, leaves) = text(&dice, token)
            let wire = try Wire(port: port)
            wire.send(text)
            if leaves { wire.reset() }
            outcomes[Reply(leaves ? [] : wire.read()).status, default: 0] += 1
        }
        return outcomes
    }
}
