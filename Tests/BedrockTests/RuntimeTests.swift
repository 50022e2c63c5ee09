import Foundation
import Testing
@testable import Server

/// The real boto3, unmodified but for its endpoint, against the real server.
@Suite(.serialized, .enabled(if: BatonServer.isPossible, "\(BatonServer.absence)"))
struct RuntimeTests {
    private static let model = "baton.smollm2-135m-instruct"
    private static let question = "What is gravity? Answer in one sentence."

    private static func converse(_ method: String = "converse", model: String = model, text: String = question, _ more: [String: Any] = [:]) -> [String: Any] {
        let arguments: [String: Any] = [
            "modelId": model, "messages": [["role": "user", "content": [["text": text]]]], "inferenceConfig": ["maxTokens": 24, "temperature": 0],
        ]
        return ["client": "bedrock-runtime", "method": method, "key": BatonServer.key, "arguments": arguments.merging(more) { $1 }]
    }

    private static func invoke(_ method: String, _ body: [String: Any], _ more: [String: Any] = [:]) -> [String: Any] {
        let arguments: [String: Any] = ["modelId": model, "body": body]
        return ["client": "bedrock-runtime", "method": method, "key": BatonServer.key, "arguments": arguments.merging(more) { $1 }]
    }

    @Test("converse, its stream and OpenAI's chat give one text for one greedy request, whoever asks")
    func converse() async throws {
        let server = try await BatonServer()
        var byBob = Self.converse()
        byBob["key"] = nil
        byBob["bearer"] = BatonServer.bearer
        let system: [String: Any] = ["system": [["text": "You answer in rhyme."]]]
        let calls = try await server.calls([
            Self.converse(), Self.converse("converse_stream"), byBob,
            [
                "post": "/v1/chat/completions", "bearer": BatonServer.bearer,
                "body": [
                    "model": "smollm2-135m-instruct", "messages": [["role": "user", "content": Self.question]], "max_tokens": 24, "temperature": 0,
                ],
            ],
            Self.converse("converse", system), Self.converse("converse_stream", system),
            Self.converse("converse", model: "arn:aws:bedrock:eu-west-3::foundation-model/\(Self.model)"),
        ])
        for call in calls { #expect(call.error == nil, "\(call.fields)") }
        let text = try #require(calls[0].text("output", "message", "content", 0, "text"))
        #expect(text.count > 20)
        #expect(calls[0]["output", "message", "role"] as? String == "assistant")
        #expect(calls[0]["stopReason"] as? String == "max_tokens")
        #expect(calls[0]["metrics", "latencyMs"] as? Int ?? -1 >= 0)
        #expect(calls[2].text("output", "message", "content", 0, "text") == text)
        #expect(calls[3].text("choices", 0, "message", "content") == text)
        #expect(calls[6].text("output", "message", "content", 0, "text") == text)
        Self.expectStream(calls[1], says: text)
        Self.expectStream(calls[5], says: try #require(calls[4].text("output", "message", "content", 0, "text")))
        let used = try #require(calls[0]["usage"] as? [String: Int])
        let again = try #require(calls[2]["usage"] as? [String: Int])
        #expect(used["outputTokens"] == 24)
        #expect(used["totalTokens"] == again["totalTokens"])
        for usage in [used, again] {
            let parts = ["inputTokens", "cacheReadInputTokens", "outputTokens"].reduce(0) { $0 + (usage[$1] ?? 0) }
            #expect(parts == usage["totalTokens"])
        }
        #expect(again["cacheReadInputTokens"] ?? 0 > 0)
    }

    private static func expectStream(_ call: Called, says text: String) {
        let events = call.events("stream")
        let deltas = events.filter { $0.name == "contentBlockDelta" }
        #expect(deltas.count > 1)
        #expect(events.map(\.name) == ["messageStart"] + deltas.map(\.name) + ["contentBlockStop", "messageStop", "metadata"])
        #expect(deltas.compactMap { ($0.value["delta"] as? [String: Any])?["text"] as? String }.joined() == text)
        #expect(events.first?.value["role"] as? String == "assistant")
        #expect(events.last?.value["usage"] as? [String: Int] != nil)
        #expect((events.last?.value["metrics"] as? [String: Int])?["latencyMs"] != nil)
        #expect(call.headers["content-type"] as? String == "application/vnd.amazon.eventstream")
    }

    @Test("invoke and its stream take and give the native body, and say what OpenAI's completions say")
    func invoke() async throws {
        let server = try await BatonServer()
        let body: [String: Any] = ["prompt": "The sky is", "max_gen_len": 12, "temperature": 0]
        let calls = try await server.calls([
            Self.invoke("invoke_model", body), Self.invoke("invoke_model_with_response_stream", body),
            [
                "post": "/v1/completions", "bearer": BatonServer.bearer,
                "body": ["model": "smollm2-135m-instruct", "prompt": "The sky is", "max_tokens": 12, "temperature": 0],
            ],
            Self.invoke("invoke_model", body, ["serviceTier": "flex", "performanceConfigLatency": "optimized"]),
            Self.invoke("invoke_model", ["prompt": "x", "temprature": 1]), Self.invoke("invoke_model", body, ["guardrailIdentifier": "g", "guardrailVersion": "1"]),
        ])
        let whole = calls[0].body
        let text = try #require(whole["generation"] as? String)
        #expect(!text.isEmpty)
        #expect(calls[2].text("choices", 0, "text") == text)
        #expect(whole["generation_token_count"] as? Int == 12)
        #expect(whole["stop_reason"] as? String == "length")
        #expect(calls[0].headers["x-amzn-bedrock-output-token-count"] as? String == "12")
        let chunks = calls[1].chunks
        #expect(chunks.compactMap { $0["generation"] as? String }.joined() == text)
        #expect(chunks.first?["prompt_token_count"] as? Int == whole["prompt_token_count"] as? Int)
        #expect(chunks.dropLast().allSatisfy { $0["stop_reason"] is NSNull })
        #expect(chunks.last?["stop_reason"] as? String == "length")
        let metrics = try #require(chunks.last?["amazon-bedrock-invocationMetrics"] as? [String: Int])
        #expect(metrics["outputTokenCount"] == 12)
        #expect(metrics["inputTokenCount"] == whole["prompt_token_count"] as? Int)
        #expect(metrics["firstByteLatency"] ?? .max <= metrics["invocationLatency"] ?? 0)
        #expect(calls[3].headers["x-amzn-bedrock-service-tier"] as? String == "flex")
        #expect(calls[3].headers["x-amzn-bedrock-performanceconfig-latency"] as? String == "optimized")
        for (call, name) in [(calls[4], "temprature"), (calls[5], "guardrail")] {
            #expect(call.error == "ValidationException")
            #expect(call.message.contains(name), "\(call.message)")
        }
    }

    @Test("it says why it stopped: the turn's end, a stop sequence, the most tokens")
    func stops() async throws {
        let server = try await BatonServer()
        func ask(_ inference: [String: Any], _ more: [String: Any] = [:]) -> [String: Any] {
            Self.converse("converse", more.merging(["inferenceConfig": inference]) { $1 })
        }
        let calls = try await server.calls([
            ask(["maxTokens": 200, "temperature": 0, "topP": 0]), ask(["maxTokens": 200, "temperature": 0, "stopSequences": ["fundamental"]]),
            ask(["maxTokens": 1, "temperature": 1], ["additionalModelRequestFields": ["top_k": 5, "seed": 7]]),
            ask(["maxTokens": 8, "temperature": 1], ["additionalModelRequestFields": ["seed": 7]]),
            ask(["maxTokens": 8, "temperature": 1], ["additionalModelRequestFields": ["seed": 7], "requestMetadata": ["a": "b"]]),
            ask(["maxTokens": 4], ["performanceConfig": ["latency": "optimized"], "serviceTier": ["type": "priority"], "additionalModelResponseFieldPaths": ["/x"]]),
        ])
        #expect(calls.map { $0["stopReason"] as? String } == ["end_turn", "stop_sequence", "max_tokens", "max_tokens", "max_tokens", "max_tokens"])
        let stopped = try #require(calls[1].text("output", "message", "content", 0, "text"))
        #expect(!stopped.contains("fundamental"))
        #expect(calls[0].text("output", "message", "content", 0, "text")?.hasPrefix(stopped) == true)
        #expect(calls[3].text("output", "message", "content", 0, "text") == calls[4].text("output", "message", "content", 0, "text"))
        #expect(calls[5]["performanceConfig", "latency"] as? String == "optimized")
        #expect(calls[5]["serviceTier", "type"] as? String == "priority")
    }

    @Test("count-tokens counts what is then used, of conversations and of native bodies")
    func counts() async throws {
        let server = try await BatonServer()
        let input: [String: Any] = ["messages": [["role": "user", "content": [["text": Self.question]]]], "system": [["text": "Be brief."]]]
        func count(_ input: [String: Any]) -> [String: Any] {
            ["client": "bedrock-runtime", "method": "count_tokens", "key": BatonServer.key, "arguments": ["modelId": Self.model, "input": input]]
        }
        let calls = try await server.calls([
            count(["converse": input]), Self.converse("converse", ["system": [["text": "Be brief."]]]),
            count(["invokeModel": ["body": #"{"prompt": "The sky is"}"#]]), Self.invoke("invoke_model", ["prompt": "The sky is", "max_gen_len": 1]),
            count(["invokeModel": ["body": "no JSON"]]),
        ])
        let usage = try #require(calls[1]["usage"] as? [String: Int])
        let used = ["inputTokens", "cacheReadInputTokens"].reduce(0) { $0 + (usage[$1] ?? 0) }
        #expect(calls[0]["inputTokens"] as? Int == used)
        #expect(calls[2]["inputTokens"] as? Int == calls[3].body["prompt_token_count"] as? Int)
        #expect(calls[4].error == "ValidationException")
        #expect(calls[4].message.contains("input.invokeModel.body"))
    }

    @Test("the control plane lists the model, alone or by filter, and describes it")
    func models() async throws {
        let server = try await BatonServer()
        func list(_ arguments: [String: Any] = [:]) -> [String: Any] {
            ["client": "bedrock", "method": "list_foundation_models", "key": BatonServer.key, "arguments": arguments]
        }
        let calls = try await server.calls([
            list(), list(), list(["byProvider": "Baton"]), list(["byProvider": "other one"]), list(["byOutputModality": "IMAGE"]), list(["byInferenceType": "SPEED"]),
            ["client": "bedrock", "method": "get_foundation_model", "key": BatonServer.key, "arguments": ["modelIdentifier": Self.model]],
            ["client": "bedrock", "method": "get_foundation_model", "key": BatonServer.key, "arguments": ["modelIdentifier": "meta.llama3-8b-instruct-v1:0"]],
            ["client": "bedrock", "method": "list_custom_models", "key": BatonServer.key],
        ])
        #expect(calls.prefix(5).map { ($0["modelSummaries"] as? [Any])?.count } == [1, 1, 1, 0, 0])
        #expect(calls[0]["modelSummaries", 0, "modelId"] as? String == Self.model)
        #expect(calls[0]["modelSummaries", 0, "modelArn"] as? String == "arn:aws:bedrock:eu-west-3::foundation-model/\(Self.model)")
        #expect(calls[5].error == "ValidationException")
        #expect(calls[6]["modelDetails", "responseStreamingSupported"] as? Bool == true)
        #expect(calls[7].error == "ResourceNotFoundException")
        #expect(calls[8].error == "UnknownOperationException")
    }

    @Test("nobody gets in without a key: wrong, unknown, late, early, used before, absent, each by its name")
    func strangers() async throws {
        let server = try await BatonServer()
        func list(_ more: [String: Any]) -> [String: Any] {
            ["client": "bedrock", "method": "list_foundation_models"].merging(more) { $1 }
        }
        var resent = Self.converse()
        resent["resend"] = true
        let calls = try await server.calls([
            list(["key": ["AKIDALICE", "wrong"]]), list(["key": ["AKIDNOBODY", BatonServer.key[1]]]), list(["key": BatonServer.key, "clock": -330]),
            list(["key": BatonServer.key, "clock": 330]), list(["key": BatonServer.key + ["a token"]]), list(["bearer": "nobody's"]), list(["unsigned": true]),
            list(["key": BatonServer.key, "clock": -200, "resend": true]), resent, list(["bearer": BatonServer.bearer]),
        ])
        let errors = [
            "InvalidSignatureException", "UnrecognizedClientException", "InvalidSignatureException", "InvalidSignatureException",
            "UnrecognizedClientException", "UnrecognizedClientException", "MissingAuthenticationTokenException",
        ]
        #expect(calls.prefix(7).map(\.error) == errors)
        #expect(calls.prefix(7).allSatisfy { $0.status == 403 && $0.headers["x-amzn-requestid"] != nil })
        for call in calls[7...8] {
            #expect(call.error == nil)
            #expect(call.resent["status"] as? Int == 403)
            #expect(call.resent["type"] as? String == "InvalidSignatureException")
        }
        #expect(calls[9].error == nil)
        #expect(server.isRunning)
    }

    @Test("model ids with any characters come through as they were sent, and what names no model is refused")
    func ids() async throws {
        let server = try await BatonServer()
        let known = [
            "smollm2-135m-instruct", "us.\(Self.model)", "\(Self.model)-v1:0", "arn:aws:bedrock:us-east-1:123456789012:inference-profile/eu.\(Self.model)",
        ]
        let unknown = ["a/b", "arn:aws:bedrock:us-east-1::foundation-model/meta.llama:0", "../converse", "a b", "x.y:z", "~", "a+b", "%2F"]
        let wrong = ["é", "a\"b", "a\nb", "😀", "a?b#c"]
        let calls = try await server.calls((known + unknown + wrong).map { Self.converse(model: $0, ["inferenceConfig": ["maxTokens": 1]]) })
        #expect(calls.prefix(4).allSatisfy { $0.error == nil }, "\(calls.prefix(4).map(\.fields))")
        for (call, id) in zip(calls.dropFirst(4), unknown) {
            #expect(call.error == (id == "%2F" ? "ValidationException" : "ResourceNotFoundException"), "\(id): \(call.fields)")
        }
        #expect(calls.suffix(5).allSatisfy { $0.error == "ValidationException" })
    }

    @Test("what cannot be done is refused by name, before it waits")
    func refusals() async throws {
        let server = try await BatonServer()
        func content(_ block: [String: Any]) -> [String: Any] { Self.converse("converse", ["messages": [["role": "user", "content": [block]]]]) }
        let tool: [String: Any] = ["tools": [["toolSpec": ["name": "t", "inputSchema": ["json": [String: Any]()]]]]]
        let cases: [([String: Any], String)] = [
            (content(["image": ["format": "png", "source": ["bytes": "x"]]]), "messages[0].content[0]"), (content(["text": " "]), "messages[0].content[0].text"),
            (Self.converse("converse", ["toolConfig": tool]), "toolConfig"),
            (Self.converse("converse_stream", ["guardrailConfig": ["guardrailIdentifier": "g", "guardrailVersion": "1"]]), "guardrailConfig"),
            (Self.converse("converse", ["inferenceConfig": ["temperature": 1.5]]), "inferenceConfig.temperature"),
            (Self.converse("converse", ["additionalModelRequestFields": ["topK": 5]]), "additionalModelRequestFields.topK"),
            (Self.converse("converse_stream", ["messages": [Any]()]), "messages"),
            (Self.converse("converse_stream", text: String(repeating: "word ", count: 20_000)), "context"),
        ]
        let calls = try await server.calls(cases.map(\.0))
        for (call, (_, name)) in zip(calls, cases) {
            #expect(call.error == "ValidationException", "\(call.fields)")
            #expect(call.status == 400)
            #expect(call.message.contains(name), "\(call.message)")
        }
    }
}
