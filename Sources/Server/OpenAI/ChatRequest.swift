internal import Engine
internal import Tokens

/// The body of `POST /v1/chat/completions`. Fields that are not known are passed over.
struct ChatRequest: Decodable, Sendable {
    struct Message: Decodable, Sendable {
        var role: String
        var content: Content?
    }
    struct StreamOptions: Decodable, Sendable {
        var includeUsage: Bool?
        enum CodingKeys: String, CodingKey { case includeUsage = "include_usage" }
    }
    /// Only that it is there, and how many there are.
    struct Opaque: Decodable, Sendable {}
    struct ResponseFormat: Decodable, Sendable { var type: String }

    var model: String
    var messages: [Message]
    var logprobs: Bool?
    var topLogprobs: Int?
    var maxTokens: Int?
    var maxCompletionTokens: Int?
    var tools: [Opaque]?
    var responseFormat: ResponseFormat?
    var common: CommonFields

    enum CodingKeys: String, CodingKey {
        case model, messages, logprobs, tools
        case topLogprobs = "top_logprobs"
        case maxTokens = "max_tokens"
        case maxCompletionTokens = "max_completion_tokens"
        case responseFormat = "response_format"
    }

    init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        model = try fields.decode(String.self, forKey: .model)
        messages = try fields.decode([Message].self, forKey: .messages)
        logprobs = try fields.decodeIfPresent(Bool.self, forKey: .logprobs)
        topLogprobs = try fields.decodeIfPresent(Whole.self, forKey: .topLogprobs)?.value
        maxTokens = try fields.decodeIfPresent(Whole.self, forKey: .maxTokens)?.value
        maxCompletionTokens = try fields.decodeIfPresent(Whole.self, forKey: .maxCompletionTokens)?.value
        tools = try fields.decodeIfPresent([Opaque].self, forKey: .tools)
        responseFormat = try fields.decodeIfPresent(ResponseFormat.self, forKey: .responseFormat)
        common = try CommonFields(from: decoder)
    }

    /// What it asks, once.
    func question() throws(Refusal) -> Question {
        guard !messages.isEmpty else { throw Refusal(.invalid, "messages is empty; give at least one", field: "messages") }
        if tools?.isEmpty == false { throw Refusal(.invalid, "tools are not offered by this model; leave them out", field: "tools") }
        if let type = responseFormat?.type, type != "text" {
            throw Refusal(.invalid, "response_format is \(type.prefix(40)), and only text is offered; leave it out", field: "response_format")
        }
        var turns: [ChatMessage] = []
        for (index, message) in messages.enumerated() { turns.append(try Self.turn(index, message)) }
        var question = Question(.chat(turns))
        try common.apply(to: &question)
        question.maxTokens = try CommonFields.count(maxCompletionTokens ?? maxTokens, maxCompletionTokens == nil ? "max_tokens" : "max_completion_tokens", 1)
        if let topLogprobs {
            guard logprobs == true else { throw Refusal(.invalid, "top_logprobs is given without logprobs; set logprobs to true", field: "top_logprobs") }
            guard (0...20).contains(topLogprobs) else { throw Refusal(.invalid, "top_logprobs is \(topLogprobs); give 0 to 20", field: "top_logprobs") }
        }
        question.topLogprobs = logprobs == true ? topLogprobs ?? 0 : nil
        return question
    }

    private static func turn(_ index: Int, _ message: Message) throws(Refusal) -> ChatMessage {
        let roles = ["system", "developer", "user", "assistant", "tool", "function"]
        guard roles.contains(message.role) else {
            throw Refusal(.invalid, "messages[\(index)].role is \(message.role.prefix(40)); give one of \(roles.joined(separator: ", "))", field: "messages[\(index)].role")
        }
        guard message.content != nil || message.role == "assistant" else {
            throw Refusal(.invalid, "messages[\(index)].content is missing; give it", field: "messages[\(index)].content")
        }
        return ChatMessage(role: message.role == "developer" ? "system" : message.role, content: message.content?.text ?? "")
    }
}
