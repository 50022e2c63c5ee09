internal import Engine
internal import FoundationEssentials
internal import HTTPTypes
internal import NIOCore

/// How one kind of answer is said: as messages of a stream, and whole. A value.
protocol BedrockWording: Sendable {
    /// Messages before the first piece.
    func opening() throws -> [EventStreamMessage]
    /// Nothing for a piece without text.
    mutating func piece(_ piece: Generation.Piece) throws -> [EventStreamMessage]
    func ending(_ outcome: Outcome) throws -> [EventStreamMessage]
    /// All in one, with the headers that go along.
    func whole(_ text: String, _ outcome: Outcome) throws -> (body: ByteBuffer, headers: HTTPFields)
    /// Headers of a stream beside its own content type.
    var streamHeaders: HTTPFields { get }
}

extension BedrockWording {
    func event(_ type: String, _ value: some Encodable) throws -> EventStreamMessage {
        .event(type, Array(try JSONText.bytes(value, snakeCase: false).readableBytesView))
    }
}

/// `converse` and `converse-stream`.
struct ConverseWording: BedrockWording {
    let wish: ServiceWish

    private var performance: ConverseAnswer.PerformanceConfig? { wish.latency.map { .init(latency: $0.rawValue) } }
    private var tier: ConverseAnswer.ServiceTier? { wish.tier.map { .init(type: $0.rawValue) } }
    let streamHeaders = HTTPFields()

    func opening() throws -> [EventStreamMessage] { [try event("messageStart", ConverseAnswer.MessageStart())] }

    func piece(_ piece: Generation.Piece) throws -> [EventStreamMessage] {
        guard !piece.text.isEmpty else { return [] }
        return [try event("contentBlockDelta", ConverseAnswer.ContentBlockDelta(delta: .init(text: piece.text)))]
    }

    func ending(_ outcome: Outcome) throws -> [EventStreamMessage] {
        let metadata = ConverseAnswer.Metadata(
            usage: outcome.usage, metrics: .init(latencyMs: outcome.latencyMs), performanceConfig: performance, serviceTier: tier)
        return [
            try event("contentBlockStop", ConverseAnswer.ContentBlockStop()),
            try event("messageStop", ConverseAnswer.MessageStop(stopReason: outcome.stop.rawValue)), try event("metadata", metadata),
        ]
    }

    func whole(_ text: String, _ outcome: Outcome) throws -> (body: ByteBuffer, headers: HTTPFields) {
        let answer = ConverseAnswer.Whole(
            output: .init(message: .init(content: [.init(text: text)])), stopReason: outcome.stop.rawValue, usage: outcome.usage,
            metrics: .init(latencyMs: outcome.latencyMs), performanceConfig: performance, serviceTier: tier)
        return (try JSONText.bytes(answer, snakeCase: false), [:])
    }
}

/// `invoke` and `invoke-with-response-stream`.
struct InvokeWording: BedrockWording {
    let wish: ServiceWish
    private let promptTokens: Int
    private var made = 0
    private var isFirst = true

    init(wish: ServiceWish, promptTokens: Int) { (self.wish, self.promptTokens) = (wish, promptTokens) }

    var streamHeaders: HTTPFields {
        var fields = wish.headers
        fields[.bedrockContentType] = "application/json"
        return fields
    }

    func opening() throws -> [EventStreamMessage] { [] }

    mutating func piece(_ piece: Generation.Piece) throws -> [EventStreamMessage] {
        made += piece.tokens.count
        guard !piece.text.isEmpty else { return [] }
        defer { isFirst = false }
        return [try chunk(.init(generation: piece.text, promptTokenCount: isFirst ? promptTokens : nil, generationTokenCount: made))]
    }

    func ending(_ outcome: Outcome) throws -> [EventStreamMessage] {
        let metrics = InvokeAnswer.Metrics(
            inputTokenCount: outcome.ended.promptTokens, outputTokenCount: outcome.ended.completionTokens, invocationLatency: outcome.latencyMs,
            firstByteLatency: outcome.firstByteMs)
        let last = InvokeAnswer.Chunk(
            generation: "", promptTokenCount: isFirst ? promptTokens : nil, generationTokenCount: outcome.ended.completionTokens,
            stopReason: outcome.nativeReason, metrics: metrics)
        return [try chunk(last)]
    }

    private func chunk(_ chunk: InvokeAnswer.Chunk) throws -> EventStreamMessage {
        let json = try JSONText.bytes(chunk, snakeCase: false)
        return try event("chunk", InvokeAnswer.Part(bytes: Data(json.readableBytesView).base64EncodedString()))
    }

    func whole(_ text: String, _ outcome: Outcome) throws -> (body: ByteBuffer, headers: HTTPFields) {
        let answer = InvokeAnswer.Whole(
            generation: text, promptTokenCount: outcome.ended.promptTokens, generationTokenCount: outcome.ended.completionTokens,
            stopReason: outcome.nativeReason)
        var fields = wish.headers
        fields[.inputTokenCount] = "\(outcome.ended.promptTokens)"
        fields[.outputTokenCount] = "\(outcome.ended.completionTokens)"
        fields[.invocationLatency] = "\(outcome.latencyMs)"
        return (try JSONText.bytes(answer, snakeCase: false), fields)
    }
}
