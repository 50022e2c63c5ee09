import Testing

@testable import LoadGenerator

/// Requests over loopback, against a server that says what a test gives it.
struct LoadClientTests {
    private static let token = "data: {\"choices\":[{\"text\":\"a\"}]}\n\n"
    private static let end = "data: {\"choices\":[{\"text\":\"\",\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n"

    private static func answer(_ body: String, status: String = "200 OK", length: Int? = nil) -> String {
        "HTTP/1.1 \(status)\r\ncontent-type: text/event-stream\r\ncontent-length: \(length ?? body.utf8.count)\r\n\r\n\(body)"
    }

    /// So many requests of one client, one after another, against a server of that script.
    private func run(_ scripts: [[String]], requests: Int, connections: Int = 4) async throws -> [StreamRecord] {
        let server = try ScriptedServer(scripts)
        defer { server.close() }
        let client = LoadClient(try LoadTarget(url: server.url, model: "m"), connections: connections)
        let records = await LoadRun(client, .closed(clients: 1), bounds: .init(requests: requests), workload: .synthetic(input: 3, output: 2), seed: 1).run()
        await client.close()
        return records
    }

    @Test("a stream is read to its end, and its connection serves the next request")
    func good() async throws {
        let answer = Self.answer(Self.token + Self.token + Self.end)
        // With one connection at most the second request waits until the first's is free, however late that is.
        let records = try await run([[answer, answer]], requests: 2, connections: 1)
        #expect(records.map(\.failure) == [nil, nil] && records.map(\.outputTokens) == [2, 2] && records.allSatisfy { $0.gaps.count == 1 && $0.promptTokens == 3 })
    }

    @Test("refusals and broken streams are told apart, and the load goes on")
    func bad() async throws {
        let busy = Self.answer(#"{"error":{"message":"m","type":"server_error","code":"engine_overloaded"}}"#, status: "503 Service Unavailable")
        let cut = Self.answer(Self.token, length: 1000)
        let odd = Self.answer("data: <html>\n\n")
        let good = Self.answer(Self.token + Self.end)
        let records = try await run([[busy], [cut], [odd], [good]], requests: 4)
        #expect(records.map(\.failure) == [.status(503, "engine_overloaded"), .cut, .malformed, nil])
    }

    @Test("a kept connection that the server has closed is no failure")
    func closedMeanwhile() async throws {
        let good = Self.answer(Self.token + Self.end)
        let records = try await run([[good], [good], [good]], requests: 3)
        #expect(records.map(\.failure) == [nil, nil, nil])
    }

    @Test("nor are several that it has closed, one after another")
    func allClosedMeanwhile() async throws {
        let good = Self.answer(Self.token + Self.end)
        // Connections that end without an answer to what comes in, as kept ones do that the server has given up.
        let records = try await run([[], [], [], [good]], requests: 1)
        #expect(records.map(\.failure) == [nil])
    }

    @Test("where nobody listens, that is said")
    func nobody() async throws {
        let server = try ScriptedServer([])
        let url = server.url
        server.close()
        let client = LoadClient(try LoadTarget(url: url, model: "m"), connections: 1)
        let records = await LoadRun(client, .closed(clients: 2), bounds: .init(requests: 2, inFlight: 2), workload: .synthetic(input: 3, output: 2), seed: 1).run()
        #expect(records.map(\.failure) == [.unreachable, .unreachable])
        await #expect { _ = try await client.models() } throws: { "\($0)".contains("/v1/models: no connection") }
        await client.close()
    }
}
