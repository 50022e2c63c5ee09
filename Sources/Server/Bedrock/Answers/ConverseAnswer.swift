/// What `converse` answers, and the events of `converse-stream`.
enum ConverseAnswer {
    struct Text: Encodable { var text: String }
    struct Message: Encodable {
        var role = "assistant"
        var content: [Text]
    }
    struct Output: Encodable { var message: Message }
    struct Metrics: Encodable { var latencyMs: Int }
    struct PerformanceConfig: Encodable { var latency: String }
    struct ServiceTier: Encodable { var type: String }

    /// Input tokens are those that were computed; those whose KV was there already are counted apart, and the total has both.
    struct Usage: Encodable, Hashable {
        var inputTokens: Int
        var outputTokens: Int
        var totalTokens: Int
        var cacheReadInputTokens: Int
        var cacheWriteInputTokens = 0
    }

    struct Whole: Encodable {
        var output: Output
        var stopReason: String
        var usage: Usage
        var metrics: Metrics
        var performanceConfig: PerformanceConfig?
        var serviceTier: ServiceTier?
    }

    struct MessageStart: Encodable { var role = "assistant" }
    struct ContentBlockDelta: Encodable {
        var contentBlockIndex = 0
        var delta: Text
    }
    struct ContentBlockStop: Encodable { var contentBlockIndex = 0 }
    struct MessageStop: Encodable { var stopReason: String }
    struct Metadata: Encodable {
        var usage: Usage
        var metrics: Metrics
        var performanceConfig: PerformanceConfig?
        var serviceTier: ServiceTier?
    }
}
