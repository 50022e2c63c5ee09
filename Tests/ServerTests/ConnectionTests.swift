@testable import Engine
import Testing

@testable import Server

/// Clients that leave, that are slow, that send too much; and a server that goes down.
@Suite(.timeLimit(.minutes(10)))
struct ConnectionTests {
    private static let path = "/v1/completions"

    private static func body(streams: Bool) -> String { #"{"model": "tiny", "prompt": "hi", "max_tokens": 2, "stream": \#(streams)}"# }

    @Test("a client that leaves cancels what it asked: in the queue, and while it runs, streamed or not", arguments: [(true, true), (true, false), (false, true), (false, false)])
    func leaves(inQueue: Bool, streams: Bool) async throws {
        let engine = ScriptedEngine(inQueue ? .waits : .begins)
        try await TestServer.with(engine) { (server: TestServer) async throws -> Void in
            let (port, text) = (server.port, TestServer.text("POST", Self.path, Self.body(streams: streams)))
            let wire = try await Wire.blocking {
                let wire = try Wire(port: port)
                wire.send(text)
                return Wire.Held(wire: wire)
            }
            try await TestServer.until { engine.active == 1 }
            wire.wire.reset()
            try await TestServer.until { engine.active == 0 }
            #expect(engine.cancelled == 1)
            #expect(try await server.get("/healthz").status == 200)
        }
    }

    @Test("a body that is too large is 413, said in its length or not")
    func tooLarge() async throws {
        try await TestServer.with(ScriptedEngine(), { $0.maxBodyBytes = 1000 }) { (server: TestServer) async throws -> Void in
            #expect(try await server.post(Self.path, String(repeating: "x", count: 2000)).status == 413)
            let chunk = "800\r\n" + String(repeating: "x", count: 2048) + "\r\n0\r\n\r\n"
            let head = TestServer.text("POST", Self.path, "", ["content-length": "", "transfer-encoding": "chunked"])
            #expect(try await server.raw(head + chunk).status == 413)
            #expect(try await server.post(Self.path, Self.body(streams: false)).status == 200)
        }
    }

    @Test("headers that are too many or too long end the connection with an error")
    func headers() async throws {
        try await TestServer.with(ScriptedEngine()) { (server: TestServer) async throws -> Void in
            let many = Dictionary(uniqueKeysWithValues: (0..<500).map { ("x-\($0)", "1") })
            #expect(try await [0, 400, 431].contains(server.get("/healthz", many).status))
            #expect(try await [0, 400, 431].contains(server.get("/healthz", ["x-long": String(repeating: "x", count: 100_000)]).status))
            #expect(try await server.get("/healthz").status == 200)
        }
    }

    @Test(
        "a client that sends its headers, its body or its next request too slowly is cut off",
        arguments: [
            "GET /healthz HTTP/1.1\r\nho", "POST /v1/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 50\r\n\r\n{",
            "GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 1\r\n\r\nx",
            "GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\nGET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n",
        ])
    func slow(text: String) async throws {
        let change = { (settings: inout ServerSettings) in
            settings.timeouts.head = .milliseconds(100)
            settings.timeouts.body = .milliseconds(100)
            settings.timeouts.idle = .milliseconds(100)
        }
        try await TestServer.with(ScriptedEngine(), change) { (server: TestServer) async throws -> Void in
            // It ends by the server's doing alone.
            let reply = try await server.raw(text)
            #expect([0, 200, 400].contains(reply.status))
            #expect(try await server.get("/healthz").status == 200)
        }
    }

    @Test("a client that does not read its answer is cut off, and what it asked is cancelled")
    func stalls() async throws {
        let engine = ScriptedEngine()
        let change = { (settings: inout ServerSettings) in settings.timeouts.stall = .milliseconds(100) }
        try await TestServer.with(engine, model: TestServer.model(engine, context: 2_000_000), change) { (server: TestServer) async throws -> Void in
            let text = TestServer.text("POST", Self.path, #"{"model": "tiny", "prompt": "hi", "max_tokens": 100000, "stream": true}"#)
            let port = server.port
            let wire = try await Wire.blocking {
                let wire = try Wire(port: port)
                wire.send(text)
                return Wire.Held(wire: wire)
            }
            try await TestServer.until { server.lines.now.contains { $0.contains("\"cut\":true") } }
            _ = wire
            #expect(try await server.get("/healthz").status == 200)
        }
    }

    @Test("one connection carries several requests")
    func keepsAlive() async throws {
        try await TestServer.with(ScriptedEngine()) { (server: TestServer) async throws -> Void in
            let request = TestServer.text("POST", Self.path, Self.body(streams: false), ["connection": "keep-alive"])
            let port = server.port
            let count = try await Wire.blocking {
                let wire = try Wire(port: port)
                var count = 0
                for _ in 0..<3 {
                    wire.send(request)
                    let bytes = wire.read { String(decoding: $0, as: UTF8.self).contains("total_tokens") }
                    count += Reply(bytes).status == 200 ? 1 : 0
                }
                return count
            }
            #expect(count == 3)
        }
    }

    @Test("a client that asks first whether it may send its body is told to go on")
    func continues() async throws {
        try await TestServer.with(ScriptedEngine()) { (server: TestServer) async throws -> Void in
            let body = Self.body(streams: false)
            let head = TestServer.text("POST", Self.path, "", ["expect": "100-continue", "content-length": "\(body.utf8.count)"])
            let port = server.port
            let (first, rest) = try await Wire.blocking {
                let wire = try Wire(port: port)
                wire.send(head)
                let first = Reply(wire.read { String(decoding: $0, as: UTF8.self).contains("\r\n\r\n") })
                wire.send(body)
                return (first, Reply(wire.read()))
            }
            #expect(first.status == 100)
            #expect(rest.status == 200)
        }
    }

    @Test("a server that goes down finishes what runs, refuses what is new with 503, and ends")
    func drains() async throws {
        let engine = ScriptedEngine(.begins)
        try await TestServer.with(engine) { (server: TestServer) async throws -> Void in
            async let running = server.post(Self.path, Self.body(streams: true))
            try await TestServer.until { engine.active == 1 }
            await server.stop()
            try await TestServer.until { server.lines.now.contains { $0.contains("draining") } }
            var refused = try await server.post(Self.path, Self.body(streams: false))
            // It refuses from the moment at which it says that it drains, which the log says a moment before.
            while refused.status == 200 { refused = try await server.post(Self.path, Self.body(streams: false)) }
            #expect(refused.status == 503)
            #expect(refused.headers["retry-after"] != nil)
            #expect(try await server.get("/readyz").status == 503)
            #expect(try await server.get("/healthz").status == 200)
            engine.release()
            #expect(try await running.body.hasSuffix("data: [DONE]\n\n"))
            try await server.end()
            await #expect(throws: Wire.WireError.self) { try await server.get("/healthz") }
        }
    }
}
