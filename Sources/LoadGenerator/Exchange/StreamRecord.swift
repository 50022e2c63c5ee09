/// One request as it went: when what came. A value; times are nanoseconds from the start of the load.
public struct StreamRecord: Sendable, Hashable {
    /// When it was to go out, and did.
    public let intended: UInt64
    public let sent: UInt64
    /// The first text; nanoseconds between one text and the next; the end of the stream.
    public private(set) var first: UInt64?
    public private(set) var gaps: [UInt64] = []
    public private(set) var ended: UInt64?
    public private(set) var failure: LoadFailure?
    /// As the server says; nil where it does not.
    public private(set) var promptTokens: Int?
    public private(set) var cachedTokens: Int?
    private var statedTokens: Int?
    private var last: UInt64 = 0
    private var isComplete = false

    public init(intended: UInt64, sent: UInt64) { (self.intended, self.sent) = (intended, sent) }

    /// Tokens made: the server's count, else events that carried text.
    public var outputTokens: Int { statedTokens ?? (first == nil ? 0 : gaps.count + 1) }
    public var isCountStated: Bool { statedTokens != nil }

    /// An event of the stream.
    public mutating func take(_ event: [UInt8], at now: UInt64) throws(LoadFailure) {
        if event.elementsEqual("[DONE]".utf8) { return isComplete = true }
        guard let chunk = CompletionChunk.parse(event) else { throw .malformed }
        if let problem = chunk.error { throw .stream(problem.code) }
        if chunk.hasText {
            if first == nil { first = now } else { gaps.append(now - min(now, last)) }
            last = now
        }
        if chunk.isEnd { isComplete = true }
        guard let usage = chunk.usage else { return }
        promptTokens = usage.prompt_tokens.map { max(0, $0) } ?? promptTokens
        cachedTokens = usage.prompt_tokens_details?.cached_tokens.map { max(0, $0) } ?? cachedTokens
        statedTokens = usage.completion_tokens.map { max(0, $0) } ?? statedTokens
    }

    /// The stream is over.
    public mutating func end(at now: UInt64) {
        ended = now
        if !isComplete { failure = .cut } else if first == nil { failure = .empty }
    }

    public mutating func fail(_ failure: LoadFailure, at now: UInt64) {
        self.failure = failure
        ended = now
    }

    /// Nanoseconds; nil where the request did not come so far. Latencies count from the intended time.
    public func value(of measure: ServiceLevel.Measure) -> UInt64? {
        switch measure {
        case .ttft: return first.map { $0 - min($0, intended) }
        case .itl:
            guard !gaps.isEmpty else { return nil }
            return gaps.sorted()[min(gaps.count - 1, (gaps.count * 99 + 99) / 100 - 1)]
        case .tpot:
            guard let first, outputTokens > 1 else { return nil }
            return (last - min(last, first)) / UInt64(outputTokens - 1)
        case .e2e: return ended.map { $0 - min($0, intended) }
        }
    }

    /// When each text came.
    var arrivals: [UInt64] {
        guard let first else { return [] }
        var times = [first]
        times.reserveCapacity(gaps.count + 1)
        var time = first
        for gap in gaps {
            time += gap
            times.append(time)
        }
        return times
    }
}
