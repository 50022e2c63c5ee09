@testable import Engine
import Testing
import Tokens

@testable import Server

/// OpenAI's dialect over HTTP, with an engine that is scripted.
@Suite(.timeLimit(.minutes(10)))
struct OpenAITests {
    private static let chat = #""model": "tiny", "messages": [{"role": "user", "content": "hi"}]"#

    private func ask(_ fields: String, _ path: String = "/v1/chat/completions", _ engine: ScriptedEngine = ScriptedEngine(), _ headers: [String: String] = [:]) async throws -> Reply {
        try await TestServer.with(engine) { try await $0.post(path, "{\(fields)}", headers) }
    }

    @Test("the list of models has the one that is served, which can be asked for by name")
    func models() async throws {
        try await TestServer.with(ScriptedEngine()) { (server: TestServer) async throws -> Void in
            let list = try await server.get("/v1/models")
            #expect(list.status == 200)
            #expect((list.json["data"] as? [[String: Any]])?.first?["id"] as? String == "tiny")
            #expect(try await server.get("/v1/models/tiny").json["object"] as? String == "model")
            #expect(try await server.get("/v1/models/other").error["code"] as? String == "model_not_found")
        }
    }

    @Test("a chat is answered whole, with usage, its finish and its route")
    func whole() async throws {
        let reply = try await ask(Self.chat + #", "max_tokens": 3"#)
        #expect(reply.status == 200)
        #expect(reply.headers["x-baton-route"] == "aggregated; it is scripted")
        let choice = try #require((reply.json["choices"] as? [[String: Any]])?.first)
        #expect((choice["message"] as? [String: Any])?["content"] as? String == "abc")
        #expect(choice["finish_reason"] as? String == "length")
        let usage = try #require(reply.json["usage"] as? [String: Any])
        #expect(usage["completion_tokens"] as? Int == 3)
        #expect(usage["total_tokens"] as? Int == (usage["prompt_tokens"] as? Int ?? 0) + 3)
    }

    @Test("a stream begins with the role, ends with its finish, usage and [DONE], and its pieces are the text")
    func stream() async throws {
        let reply = try await ask(Self.chat + #", "max_tokens": 4, "stream": true, "stream_options": {"include_usage": true}"#)
        #expect(reply.headers["content-type"]?.hasPrefix("text/event-stream") == true)
        #expect(reply.body.hasSuffix("data: [DONE]\n\n"))
        let events = reply.events
        let deltas = events.compactMap { ($0["choices"] as? [[String: Any]])?.first?["delta"] as? [String: Any] }
        #expect(deltas.first?["role"] as? String == "assistant")
        #expect(deltas.compactMap { $0["content"] as? String }.joined() == "abcd")
        let finishes = events.compactMap { ($0["choices"] as? [[String: Any]])?.first?["finish_reason"] as? String }
        #expect(finishes == ["length"])
        #expect((events.last?["usage"] as? [String: Any])?["completion_tokens"] as? Int == 4)
    }

    @Test("what a request says reaches the engine")
    func reaches() async throws {
        let engine = ScriptedEngine()
        let fields = #", "max_completion_tokens": 7, "temperature": 0.5, "top_p": 0.25, "seed": 42, "stop": ["x", "yz"], "logprobs": true, "top_logprobs": 3, "service_tier": "flex", "ignore_eos": true"#
        _ = try await ask(Self.chat + fields, "/v1/chat/completions", engine, ["x-baton-route-mode": "aggregated"])
        let request = try #require(engine.requests.first)
        #expect(request.request.maxTokens == 7)
        #expect(request.request.sampling.temperature == 0.5)
        #expect(request.request.sampling.topP == 0.25)
        #expect(request.request.sampling.seed == 42)
        #expect(request.request.stops == ["x", "yz"])
        #expect(request.request.avoidsEnd)
        #expect(request.topLogprobs == 3)
        #expect(request.priority == .flex)
        #expect(request.mode == .aggregated)
    }

    @Test("content may be parts, one stop a string, developer a system")
    func forms() async throws {
        let engine = ScriptedEngine()
        let messages = #""messages": [{"role": "developer", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]"#
        let reply = try await ask(#""model": "tiny", "max_tokens": 1, "stop": "q", "unknown": {"deep": [1]}, "# + messages, "/v1/chat/completions", engine)
        #expect(reply.status == 200)
        let request = try #require(engine.requests.first?.request)
        #expect(request.stops == ["q"])
        let tokenizer = TestServer.model(engine).tokenizer
        #expect(tokenizer.decode(request.prompt, skippingSpecials: false) == "<|im_start|>system ab<|im_end|>")
    }

    @Test("n answers come under their numbers, each of its own chance", arguments: [false, true])
    func several(streams: Bool) async throws {
        let engine = ScriptedEngine()
        let reply = try await ask(Self.chat + ", \"n\": 3, \"seed\": 5, \"max_tokens\": 2, \"stream\": \(streams)", "/v1/chat/completions", engine)
        #expect(Set(engine.requests.map(\.request.sampling.seed)) == [5, 6, 7])
        let choices = (streams ? reply.events : [reply.json]).flatMap { $0["choices"] as? [[String: Any]] ?? [] }
        #expect(Set(choices.compactMap { $0["index"] as? Int }) == [0, 1, 2])
    }

    @Test("plain completions take text, texts and tokens, echo, and the old logprobs")
    func completions() async throws {
        let path = "/v1/completions"
        let echoed = try await ask(#""model": "tiny", "prompt": ["one", "two"], "max_tokens": 2, "echo": true"#, path)
        #expect((echoed.json["choices"] as? [[String: Any]])?.compactMap { $0["text"] as? String } == ["oneab", "twoab"])
        let scored = try await ask(#""model": "tiny", "prompt": [5, 6], "max_tokens": 2, "logprobs": 1"#, path)
        let logprobs = (scored.json["choices"] as? [[String: Any]])?.first?["logprobs"] as? [String: Any]
        #expect((logprobs?["tokens"] as? [String])?.count == 2)
        #expect(logprobs?["text_offset"] as? [Int] == [0, 1])
        #expect((logprobs?["top_logprobs"] as? [[String: Any]])?.count == 2)
        let short = try await ask(#""model": "tiny", "prompt": "x""#, path)
        #expect((short.json["usage"] as? [String: Any])?["completion_tokens"] as? Int == 16)
    }

    @Test("logprobs of a chat stand beside its tokens")
    func logprobs() async throws {
        let reply = try await ask(Self.chat + #", "max_tokens": 2, "logprobs": true, "top_logprobs": 1"#)
        let logprobs = (reply.json["choices"] as? [[String: Any]])?.first?["logprobs"] as? [String: Any]
        let content = try #require(logprobs?["content"] as? [[String: Any]])
        #expect(content.count == 2)
        #expect(content.first?["bytes"] as? [Int] != nil)
        #expect((content.first?["top_logprobs"] as? [[String: Any]])?.count == 1)
    }

    @Test(
        "what is wrong is refused with 400 and its name",
        arguments: [
            (#""model": 5, "messages": []"#, "model"), (#""model": "tiny""#, "messages"), (#""model": "tiny", "messages": []"#, "messages"),
            (#""model": "tiny", "messages": [{"role": "user", "content": 7}]"#, "messages[0].content"),
            (#""model": "tiny", "messages": [{"role": "wizard", "content": "a"}]"#, "messages[0].role"),
            (#""model": "tiny", "messages": [{"content": "a"}]"#, "messages[0].role"), (chat + #", "max_tokens": "many""#, "max_tokens"),
            (chat + #", "max_tokens": -1"#, "max_tokens"), (chat + #", "max_tokens": 1e99"#, "max_tokens"), (chat + #", "max_tokens": 1.5"#, "max_tokens"),
            (chat + #", "seed": 99999999999999999999"#, "seed"), (chat + #", "temperature": 3"#, "temperature"),
            (chat + #", "top_p": 0"#, "top_p"), (chat + #", "n": 0"#, "n"), (chat + #", "n": 1000"#, "n"), (chat + #", "stop": 5"#, "stop"),
            (chat + #", "stop": [""]"#, "stop"), (chat + #", "top_logprobs": 2"#, "top_logprobs"), (chat + #", "stream": "yes""#, "stream"),
            (chat + #", "service_tier": "gold""#, "service_tier"), (chat + #", "tools": [{}]"#, "tools"), (chat + #", "logit_bias": {"1": 5}"#, "logit_bias"),
        ])
    func wrong(fields: String, name: String) async throws {
        let engine = ScriptedEngine()
        let reply = try await ask(fields, "/v1/chat/completions", engine)
        #expect(reply.status == 400)
        #expect(reply.error["type"] as? String == "invalid_request_error")
        #expect(reply.error["param"] as? String == name)
        #expect(engine.requests.isEmpty)
    }

    @Test("bodies that are no JSON are refused", arguments: ["", "{", "[]", "\"x\"", "nul", "{\"a\": \u{0}}", String(repeating: "[", count: 20_000)])
    func noJSON(body: String) async throws {
        try await TestServer.with(ScriptedEngine()) { (server: TestServer) async throws -> Void in
            #expect(try await server.post("/v1/chat/completions", body).status == 400)
            #expect(try await server.get("/healthz").status == 200)
        }
    }

    @Test("a prompt longer than the context is refused as such")
    func tooLong() async throws {
        let reply = try await ask(#""model": "tiny", "prompt": "\#(String(repeating: "a", count: 5000))""#, "/v1/completions")
        #expect(reply.status == 400)
        #expect(reply.error["code"] as? String == "context_length_exceeded")
    }

    @Test("a full queue is 429 with Retry-After; a failure is 500; one amid a stream is an event")
    func failures() async throws {
        var busy = EngineError(.busy, "the queue is full; ask again later")
        busy.retryAfter = 2.5
        let full = try await ask(Self.chat, "/v1/chat/completions", ScriptedEngine(.refuses(busy)))
        #expect(full.status == 429)
        #expect(full.headers["retry-after"] == "3")
        let broken = ScriptedEngine(.fails(EngineError(.driver, "the device is gone; restart it")))
        let whole = try await ask(Self.chat, "/v1/chat/completions", broken)
        #expect(whole.status == 500)
        let stream = try await ask(Self.chat + #", "stream": true"#, "/v1/chat/completions", broken)
        #expect((stream.events.last?["error"] as? [String: Any])?["message"] as? String == "the device is gone; restart it")
        #expect(stream.body.hasSuffix("data: [DONE]\n\n"))
    }

    @Test("a route mode that does not exist is refused, and the required one reaches the engine")
    func modes() async throws {
        let engine = ScriptedEngine()
        let wrong = try await ask(Self.chat, "/v1/chat/completions", engine, ["x-baton-route-mode": "sideways"])
        #expect(wrong.status == 400)
        _ = try await ask(Self.chat + ", \"max_tokens\": 1", "/v1/chat/completions", engine, ["x-baton-route-mode": "require_disaggregated"])
        #expect(engine.requests.map(\.requiresDisaggregated) == [true])
    }
}
