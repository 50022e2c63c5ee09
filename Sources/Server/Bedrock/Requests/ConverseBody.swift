internal import Engine

/// The body of `converse` and `converse-stream`. Keys that are not known are passed over, as AWS does; what is known and cannot be done
/// is refused by name.
struct ConverseBody: Decodable, Sendable {
    let conversation: Conversation
    let inference: Inference
    let fields: ModelFields
    let wish: ServiceWish

    /// `inferenceConfig`.
    struct Inference: Decodable, Sendable {
        var maxTokens: Int?
        var temperature: Double?
        var topP: Double?
        var stops: [String] = []

        private enum Keys: String, CodingKey { case maxTokens, temperature, topP, stopSequences }

        init() {}

        init(from decoder: any Decoder) throws {
            let fields = try decoder.container(keyedBy: Keys.self)
            maxTokens = try fields.count(.maxTokens, from: 1)
            temperature = try fields.number(.temperature, in: 0...1)
            topP = try fields.number(.topP, in: 0...1)
            stops = try fields.stops(.stopSequences)
        }
    }

    private enum Keys: String, CodingKey, CaseIterable {
        case toolConfig, guardrailConfig, promptVariables, outputConfig
        case inferenceConfig, additionalModelRequestFields, additionalModelResponseFieldPaths, requestMetadata
    }

    init(from decoder: any Decoder) throws {
        let keys = try decoder.container(keyedBy: Keys.self)
        for refused in [Keys.toolConfig, .guardrailConfig, .promptVariables, .outputConfig] where try !keys.isNil(refused) {
            throw keys.wrong(refused, "is not offered with this model; leave it out")
        }
        conversation = try Conversation(from: decoder)
        inference = try keys.decodeIfPresent(Inference.self, forKey: .inferenceConfig) ?? Inference()
        fields = try keys.decodeIfPresent(ModelFields.self, forKey: .additionalModelRequestFields) ?? ModelFields()
        wish = try ServiceWish(from: decoder)
        let paths = try keys.decodeIfPresent([String].self, forKey: .additionalModelResponseFieldPaths) ?? []
        guard paths.allSatisfy({ $0.hasPrefix("/") && $0.utf8.count <= 256 }) else {
            throw keys.wrong(.additionalModelResponseFieldPaths, "has a path that is no JSON pointer; begin each with /")
        }
        _ = try keys.decodeIfPresent([String: String].self, forKey: .requestMetadata)
    }

    /// What it asks.
    var question: Question {
        var question = Question(.chat(conversation.turns))
        question.maxTokens = inference.maxTokens
        question.temperature = inference.temperature
        question.topP = inference.topP.map(Question.topP)
        question.topK = fields.topK
        question.seed = fields.seed
        question.stops = inference.stops
        question.priority = wish.priority
        return question
    }
}

extension Question {
    /// Bedrock allows 0, which leaves the likeliest token alone; the sampler wants a number above 0 for that.
    static func topP(_ value: Double) -> Double { max(value, 1e-6) }
}
