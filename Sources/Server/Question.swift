internal import Engine
internal import Tokens

/// What a client asks, out of its dialect. Nil leaves the choice to the manifest, and then to the server.
struct Question: Sendable {
    enum Input: Sendable {
        case chat([ChatMessage])
        case text(String)
        case tokens([Int32])
    }
    var input: Input
    /// What the dialect calls the input, for refusals.
    var inputField = "messages"
    var maxTokens: Int?
    var temperature: Double?
    var topP: Double?
    var topK: Int?
    var seed: UInt64?
    var stops: [String] = []
    /// Goes on to `maxTokens`: the model's end-of-text tokens are never chosen.
    var ignoresEnd = false
    var priority = GenerationRequest.Priority.standard
    /// Overrides the manifest's routing.
    var mode: Route.Mode?
    var requiresDisaggregated = false
    /// Log-probabilities of so many of the likeliest tokens with each token; nil for none at all.
    var topLogprobs: Int?

    init(_ input: Input) { self.input = input }
}
