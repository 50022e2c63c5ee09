public import Tokens

/// One request to a server that runs many: the request, whose it is, and how it is to be treated.
public struct GenerationRequest: Sendable {
    public var request: Request
    /// Requests of one client share its part of the server; the name of an API key, or "" for everybody.
    public var client: String
    public var priority: Priority
    /// Overrides the manifest's routing for this request.
    public var mode: Route.Mode?
    /// Errors rather than falls back to one device.
    public var requiresDisaggregated: Bool
    /// How many of the likeliest tokens' log-probabilities to give with each token; nil for none at all.
    public var topLogprobs: Int?

    public enum Priority: Int, Sendable, Comparable, CaseIterable {
        case flex, standard, priority
        public static func < (a: Priority, b: Priority) -> Bool { a.rawValue < b.rawValue }
    }

    public init(
        _ request: Request, client: String = "", priority: Priority = .standard, mode: Route.Mode? = nil, requiresDisaggregated: Bool = false,
        topLogprobs: Int? = nil
    ) {
        self.request = request
        self.client = client
        self.priority = priority
        self.mode = mode
        self.requiresDisaggregated = requiresDisaggregated
        self.topLogprobs = topLogprobs
    }
}

/// What a request's stream says, in this order: one `began`, pieces, one `ended`. A failure ends the stream instead, by throwing `EngineError`.
public enum Generation: Sendable {
    case began(Began)
    case piece(Piece)
    case ended(Ended)

    public struct Began: Sendable {
        /// "disaggregated" or "aggregated", and why, in one line.
        public var route: String
        public var routeReason: String
        /// Prompt tokens whose KV was there already.
        public var cachedTokens: Int
    }

    /// Text that is certain: whole UTF-8 characters, never the beginning of a stop string. `text` may be empty while tokens come.
    public struct Piece: Sendable {
        public var text: String
        public var tokens: [Token]
    }

    public struct Token: Sendable {
        public var id: Int32
        /// Natural logarithms; nil when none were asked for.
        public var logprob: Float?
        /// Likeliest first.
        public var top: [(id: Int32, logprob: Float)]
    }

    public struct Ended: Sendable {
        public var reason: FinishReason
        public var promptTokens: Int
        public var cachedTokens: Int
        public var completionTokens: Int
        /// Wall nanoseconds from arrival: until it left the queue, the first token as prefill made it, the first as the user may have it, the end.
        public var queued: UInt64
        public var ttftPrefill: UInt64
        public var ttftUser: UInt64
        public var total: UInt64
        public var handoff: RunReport.Handoff?
        public var stages: [RunReport.Stage]
    }
}

/// What answers requests, many at a time. Any thread may ask.
public protocol Generating: Sendable {
    /// Queues the request at once. When the reader ends the stream, the request is cancelled and its KV goes back.
    func generate(_ request: GenerationRequest) -> AsyncThrowingStream<Generation, any Error>
    /// As of now.
    var metrics: ServingMetrics { get }
    /// Refuses what is new, finishes what waits and runs, and returns then. What is left after `limit` is ended with an error.
    func drain(limit: Duration?) async
}
