internal import Engine

/// The body of `invoke` and `invoke-with-response-stream`: the native one of Llama models on Bedrock. The prompt is taken as it stands, no
/// template applied. Keys that are not known are refused.
///
/// ```json
/// {"prompt": "...", "max_gen_len": 512, "temperature": 0.5, "top_p": 0.9, "top_k": 0, "seed": 7, "stop": ["\n"]}
/// ```
struct InvokeBody: Decodable, Sendable {
    let prompt: String
    let maxTokens: Int?
    let temperature: Double?
    let topP: Double?
    let topK: Int?
    let seed: UInt64?
    let stops: [String]

    private enum Keys: String, CodingKey, CaseIterable { case prompt, max_gen_len, temperature, top_p, top_k, seed, stop }

    init(from decoder: any Decoder) throws {
        let all = try decoder.container(keyedBy: AnyKey.self)
        for key in all.allKeys where Keys(rawValue: key.stringValue) == nil {
            throw all.wrong(AnyKey(String(key.stringValue.prefix(100))), "is not taken by this model; give \(Keys.words)")
        }
        let fields = try decoder.container(keyedBy: Keys.self)
        prompt = try fields.decode(String.self, forKey: .prompt)
        guard !prompt.isEmpty else { throw fields.wrong(.prompt, "is empty; write something") }
        maxTokens = try fields.count(.max_gen_len, from: 1)
        temperature = try fields.number(.temperature, in: 0...1)
        topP = try fields.number(.top_p, in: 0...1)
        topK = try fields.count(.top_k, from: 0)
        seed = try fields.whole(.seed).map { UInt64(bitPattern: Int64($0)) }
        stops = try fields.stops(.stop)
    }

    /// What it asks.
    func question(_ wish: ServiceWish) -> Question {
        var question = Question(.text(prompt))
        question.inputField = Keys.prompt.rawValue
        question.maxTokens = maxTokens
        question.temperature = temperature
        question.topP = topP.map(Question.topP)
        question.topK = topK
        question.seed = seed
        question.stops = stops
        question.priority = wish.priority
        return question
    }
}
