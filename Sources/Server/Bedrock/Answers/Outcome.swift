internal import Engine
internal import Tokens

/// How an answer ended, as Bedrock tells it.
struct Outcome: Sendable {
    enum Stop: String, Sendable {
        case endTurn = "end_turn"
        case stopSequence = "stop_sequence"
        case maxTokens = "max_tokens"
        case contextFull = "model_context_window_exceeded"
    }

    let stop: Stop
    let ended: Generation.Ended

    /// - Parameters:
    ///   - last: the last token that was made.
    ///   - ends: the tokens that end a turn.
    ///   - asked: the most tokens that were to be made.
    init(_ ended: Generation.Ended, last: Int32?, ends: Set<Int32>, asked: Int) {
        self.ended = ended
        switch ended.reason {
        case .stop: stop = last.map(ends.contains) == true ? .endTurn : .stopSequence
        case .length: stop = ended.completionTokens < asked ? .contextFull : .maxTokens
        }
    }

    var latencyMs: Int { Self.milliseconds(ended.total) }
    var firstByteMs: Int { Self.milliseconds(ended.ttftUser) }

    var usage: ConverseAnswer.Usage {
        ConverseAnswer.Usage(
            inputTokens: ended.promptTokens - ended.cachedTokens, outputTokens: ended.completionTokens,
            totalTokens: ended.promptTokens + ended.completionTokens, cacheReadInputTokens: ended.cachedTokens)
    }

    /// As the native body of Llama models has it.
    var nativeReason: String { stop == .endTurn || stop == .stopSequence ? "stop" : "length" }

    private static func milliseconds(_ nanoseconds: UInt64) -> Int { Int(clamping: nanoseconds / 1_000_000) }
}
