/// The body of `POST /v1/completions`. Fields that are not known are passed over.
struct CompletionRequest: Decodable, Sendable {
    var model: String
    var prompt: Prompts
    var maxTokens: Int?
    var logprobs: Int?
    var echo: Bool?
    var suffix: String?
    var bestOf: Int?
    var common: CommonFields

    enum CodingKeys: String, CodingKey {
        case model, prompt, logprobs, echo, suffix
        case maxTokens = "max_tokens"
        case bestOf = "best_of"
    }

    /// OpenAI's own default.
    private static let defaultMaxTokens = 16

    init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        model = try fields.decode(String.self, forKey: .model)
        prompt = try fields.decode(Prompts.self, forKey: .prompt)
        maxTokens = try fields.decodeIfPresent(Whole.self, forKey: .maxTokens)?.value
        logprobs = try fields.decodeIfPresent(Whole.self, forKey: .logprobs)?.value
        echo = try fields.decodeIfPresent(Bool.self, forKey: .echo)
        suffix = try fields.decodeIfPresent(String.self, forKey: .suffix)
        bestOf = try fields.decodeIfPresent(Whole.self, forKey: .bestOf)?.value
        common = try CommonFields(from: decoder)
    }

    /// One for each prompt.
    func questions() throws(Refusal) -> [Question] {
        if let suffix, !suffix.isEmpty { throw CommonFields.unsupported("suffix") }
        if let bestOf, bestOf != (try common.choices()) { throw CommonFields.unsupported("best_of") }
        if let logprobs, !(0...20).contains(logprobs) { throw Refusal(.invalid, "logprobs is \(logprobs); give 0 to 20", field: "logprobs") }
        if echo == true, logprobs != nil {
            throw Refusal(.invalid, "echo with logprobs would need those of the prompt, which are not kept; leave one of them out", field: "echo")
        }
        let most = try CommonFields.count(maxTokens, "max_tokens", 0) ?? Self.defaultMaxTokens
        var questions: [Question] = []
        for input in prompt.all {
            var question = Question(input)
            question.inputField = "prompt"
            try common.apply(to: &question)
            question.maxTokens = most
            question.topLogprobs = logprobs
            questions.append(question)
        }
        return questions
    }
}
