internal import Engine

/// Whose a request is.
struct Client: Sendable, Hashable {
    /// The name of its key; requests of one name share their part of the server.
    var name: String
    /// Whether its requests may go before those of others.
    var mayHavePriority = true
    var limits = ClientLimits()

    init(name: String, mayHavePriority: Bool = true) { (self.name, self.mayHavePriority) = (name, mayHavePriority) }

    /// Where there are no keys.
    static let everybody = Client(name: "")

    func permitted(_ priority: GenerationRequest.Priority) -> GenerationRequest.Priority {
        mayHavePriority ? priority : min(priority, .standard)
    }
}

/// What a client may ask at most; nil for no limit.
struct ClientLimits: Sendable, Hashable {
    var requestsPerMinute: Int?
    /// Of prompts and completions.
    var tokensPerMinute: Int?
    /// Requests that wait or run at once.
    var concurrent: Int?
}
