/// What `invoke` answers, and the chunks of its stream: the native bodies of Llama models on Bedrock.
enum InvokeAnswer {
    struct Whole: Encodable {
        var generation: String
        var promptTokenCount: Int
        var generationTokenCount: Int
        var stopReason: String

        enum CodingKeys: String, CodingKey {
            case generation
            case promptTokenCount = "prompt_token_count"
            case generationTokenCount = "generation_token_count"
            case stopReason = "stop_reason"
        }
    }

    /// The first names the prompt's tokens, the last why it ended and what it took; null stands elsewhere.
    struct Chunk: Encodable {
        var generation: String
        var promptTokenCount: Int?
        var generationTokenCount: Int
        var stopReason: String?
        var metrics: Metrics?

        enum CodingKeys: String, CodingKey {
            case generation
            case promptTokenCount = "prompt_token_count"
            case generationTokenCount = "generation_token_count"
            case stopReason = "stop_reason"
            case metrics = "amazon-bedrock-invocationMetrics"
        }

        func encode(to encoder: any Encoder) throws {
            var fields = encoder.container(keyedBy: CodingKeys.self)
            try fields.encode(generation, forKey: .generation)
            try fields.encode(promptTokenCount, forKey: .promptTokenCount)
            try fields.encode(generationTokenCount, forKey: .generationTokenCount)
            try fields.encode(stopReason, forKey: .stopReason)
            try fields.encodeIfPresent(metrics, forKey: .metrics)
        }
    }

    /// Latencies in milliseconds.
    struct Metrics: Encodable {
        var inputTokenCount: Int
        var outputTokenCount: Int
        var invocationLatency: Int
        var firstByteLatency: Int
    }

    /// A chunk as the stream carries it.
    struct Part: Encodable { var bytes: String }
}
