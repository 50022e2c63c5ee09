import Engine
import HTTPTypes
import NIOCore
import Testing
import Tokens
@testable import Server

/// Bodies become types that cannot be wrong, or are refused with the path of what is.
struct BodyTests {
    private func converse(_ json: String) throws(Refusal) -> ConverseBody { try JSONText.read(ConverseBody.self, from: ByteBuffer(string: json)) }
    private static let messages = #""messages":[{"role":"user","content":[{"text":"hi"}]}]"#

    @Test("a conversation is its system's blocks and its turns, in order, joined")
    func turns() throws {
        let body = try converse(
            #"{"system":[{"text":"Be "},{"text":"brief."}],"messages":[{"role":"user","content":[{"text":"a"},{"text":"b"}]},"#
                + #"{"role":"assistant","content":[{"text":"c"}]},{"role":"user","content":[{"text":"d"}]}]}"#)
        #expect(
            body.conversation.turns == [
                ChatMessage(role: "system", content: "Be brief."), ChatMessage(role: "user", content: "ab"), ChatMessage(role: "assistant", content: "c"),
                ChatMessage(role: "user", content: "d"),
            ])
    }

    @Test("what is asked comes through: limits, sampling, stops, the model's own fields, priority")
    func question() throws {
        let question = try converse(
            "{\(Self.messages)," + #""inferenceConfig":{"maxTokens":7,"temperature":0.25,"topP":0,"stopSequences":["x","y"]},"#
                + #""additionalModelRequestFields":{"top_k":4,"seed":-1},"serviceTier":{"type":"flex"},"performanceConfig":{"latency":"optimized"}}"#
        ).question
        #expect(question.maxTokens == 7)
        #expect(question.temperature == 0.25)
        #expect(question.topP.map { $0 > 0 && $0 < 0.001 } == true)
        #expect(question.topK == 4)
        #expect(question.seed == .max)
        #expect(question.stops == ["x", "y"])
        #expect(question.priority == .flex)
        let plain = try converse("{\(Self.messages)}").question
        #expect(plain.maxTokens == nil && plain.temperature == nil && plain.topP == nil && plain.seed == nil && plain.stops.isEmpty)
    }

    @Test(
        "tiers are priorities, and optimised latency goes first where no tier is named",
        arguments: [
            ("", "standard"), (#","serviceTier":{"type":"default"}"#, "standard"), (#","serviceTier":{"type":"priority"}"#, "priority"),
            (#","serviceTier":{"type":"reserved"}"#, "priority"), (#","serviceTier":{"type":"flex"}"#, "flex"),
            (#","performanceConfig":{"latency":"standard"}"#, "standard"), (#","performanceConfig":{"latency":"optimized"}"#, "priority"),
            (#","performanceConfig":null,"serviceTier":null"#, "standard"),
        ])
    func priorities(json: String, priority: String) throws {
        #expect(try "\(converse("{\(Self.messages)\(json)}").question.priority)" == priority)
    }

    @Test("unknown keys are passed over and null is absence")
    func tolerated() throws {
        let body = try converse(
            #"{"future":{"x":[1]},"toolConfig":null,"inferenceConfig":{"maxTokens":null,"other":1},"requestMetadata":{"a":"b"},"#
                + #""additionalModelResponseFieldPaths":["/a"],\#(Self.messages)}"#)
        #expect(body.inference.maxTokens == nil)
    }

    @Test(
        "what is wrong is named by its path",
        arguments: [
            ("{}", "messages"), (#"{"messages":{}}"#, "messages"), (#"{"messages":[]}"#, "messages"), (#"{"messages":[{"content":[{"text":"x"}]}]}"#, "messages[0].role"),
            (#"{"messages":[{"role":"robot","content":[{"text":"x"}]}]}"#, "messages[0].role"), (#"{"messages":[{"role":"user"}]}"#, "messages[0].content"),
            (#"{"messages":[{"role":"user","content":"x"}]}"#, "messages[0].content"), (#"{"messages":[{"role":"user","content":[]}]}"#, "messages[0].content"),
            (#"{"messages":[{"role":"user","content":[{"text":7}]}]}"#, "messages[0].content[0].text"),
            (#"{"messages":[{"role":"user","content":[{"text":" \n"}]}]}"#, "messages[0].content[0].text"),
            (#"{"messages":[{"role":"user","content":[{}]}]}"#, "messages[0].content[0]"),
            (#"{"messages":[{"role":"user","content":[{"text":"a","image":{}}]}]}"#, "messages[0].content[0].text"),
            (#"{"messages":[{"role":"user","content":[{"text":"a"},{"toolUse":{}}]}]}"#, "messages[0].content[1]"),
            (#"{"messages":[{"role":"assistant","content":[{"text":"a"}]}]}"#, "messages"),
            (#"{"messages":[{"role":"user","content":[{"text":"a"}]},{"role":"user","content":[{"text":"a"}]}]}"#, "messages"),
            ("{\(messages),\"system\":[{\"cachePoint\":{}}]}", "system[0]"), ("{\(messages),\"inferenceConfig\":[]}", "inferenceConfig"),
            ("{\(messages),\"inferenceConfig\":{\"maxTokens\":0}}", "inferenceConfig.maxTokens"),
            ("{\(messages),\"inferenceConfig\":{\"maxTokens\":1.5}}", "inferenceConfig.maxTokens"),
            ("{\(messages),\"inferenceConfig\":{\"topP\":\"1\"}}", "inferenceConfig.topP"),
            ("{\(messages),\"inferenceConfig\":{\"temperature\":-0.1}}", "inferenceConfig.temperature"),
            ("{\(messages),\"inferenceConfig\":{\"stopSequences\":[\"\"]}}", "inferenceConfig.stopSequences"),
            ("{\(messages),\"inferenceConfig\":{\"stopSequences\":[1]}}", "inferenceConfig.stopSequences[0]"),
            ("{\(messages),\"additionalModelRequestFields\":{\"x\":1}}", "additionalModelRequestFields.x"),
            ("{\(messages),\"additionalModelRequestFields\":{\"top_k\":-1}}", "additionalModelRequestFields.top_k"),
            ("{\(messages),\"additionalModelResponseFieldPaths\":[\"x\"]}", "additionalModelResponseFieldPaths"),
            ("{\(messages),\"toolConfig\":{}}", "toolConfig"), ("{\(messages),\"guardrailConfig\":{}}", "guardrailConfig"),
            ("{\(messages),\"promptVariables\":{}}", "promptVariables"), ("{\(messages),\"outputConfig\":{}}", "outputConfig"),
            ("{\(messages),\"performanceConfig\":{\"latency\":\"fast\"}}", "performanceConfig.latency"), ("{\(messages),\"serviceTier\":{}}", "serviceTier.type"),
            ("{\(messages),\"requestMetadata\":{\"a\":1}}", "requestMetadata.a"),
        ])
    func wrong(json: String, path: String) {
        do throws(Refusal) {
            _ = try converse(json)
            Issue.record("\(json) was read")
        } catch {
            #expect(error.field == path, "\(json): \(error.words)")
            #expect(error.words.hasPrefix(path))
            #expect(BedrockError(error).kind == .validation)
        }
    }

    @Test("kinds of content that this model does not read are named", arguments: ["image", "document", "video", "audio", "toolUse", "toolResult", "guardContent", "cachePoint", "reasoningContent"])
    func kinds(kind: String) {
        do throws(Refusal) {
            _ = try converse(#"{"messages":[{"role":"user","content":[{"\#(kind)":{}}]}]}"#)
            Issue.record("\(kind) was read")
        } catch { #expect(error.words.contains(kind)) }
    }

    @Test("the native body takes what it documents and refuses the rest by name")
    func native() throws {
        func invoke(_ json: String) throws(Refusal) -> InvokeBody { try JSONText.read(InvokeBody.self, from: ByteBuffer(string: json)) }
        var headers = HTTPFields()
        headers[.tier] = "priority"
        let question = try invoke(#"{"prompt":"a","max_gen_len":5,"temperature":1,"top_p":0.5,"top_k":3,"seed":2,"stop":["b"]}"#).question(ServiceWish(headers))
        guard case .text("a") = question.input else { return #expect(Bool(false), "\(question.input)") }
        #expect(question.maxTokens == 5 && question.topP == 0.5 && question.topK == 3 && question.seed == 2 && question.stops == ["b"])
        #expect(question.priority == .priority)
        for (json, path) in [
            (#"{}"#, "prompt"), (#"{"prompt":""}"#, "prompt"), (#"{"prompt":["a"]}"#, "prompt"), (#"{"prompt":"a","images":[]}"#, "images"),
            (#"{"prompt":"a","max_gen_len":0}"#, "max_gen_len"), (#"{"prompt":"a","temperature":2}"#, "temperature"),
        ] {
            do throws(Refusal) {
                _ = try invoke(json)
                Issue.record("\(json) was read")
            } catch { #expect(error.field == path, "\(error.words)") }
        }
        headers[.tier] = "soon"
        #expect(throws: Refusal.self) { try ServiceWish(headers) }
    }

    @Test(
        "the model is known by the names that Bedrock's clients have for it",
        arguments: [
            ("tiny", true), ("baton.tiny", true), ("us.baton.tiny", true), ("baton.tiny:0", true), ("baton.tiny-v1:0", true),
            ("arn:aws:bedrock:us-east-1::foundation-model/baton.tiny", true), ("arn:aws:bedrock:eu-west-3:123456789012:inference-profile/eu.baton.tiny", true),
            ("tin", false), ("tinyy", false), ("meta.tiny", false), ("arn:aws:bedrock:us-east-1::foundation-model/tinier", false), ("baton.", false), (".", false),
        ])
    func names(id: String, isKnown: Bool) throws {
        #expect(try BedrockModelID(name: "tiny").isNamed(by: id) == isKnown)
    }

    @Test("a model of an odd name is listed in letters that ids have, and known by both")
    func oddNames() throws {
        let id = BedrockModelID(name: "Odd Model_1é")
        #expect(id.listed == "baton.odd-model-1-")
        #expect(try id.isNamed(by: "Odd Model_1é"))
        #expect(try id.isNamed(by: id.listed))
        #expect(throws: Refusal.self) { try id.isNamed(by: "é") }
        #expect(throws: Refusal.self) { try id.isNamed(by: String(repeating: "a", count: 2049)) }
    }
}
