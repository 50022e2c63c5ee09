import FoundationEssentials

/// Whom to ask, and how.
public struct LoadTarget: Sendable, Hashable {
    /// Without `/v1` at its end.
    public let base: String
    public var model: String
    public var key: String?
    /// Chat completions, with the prompt as the user's message; else plain completions.
    public var isChat: Bool
    /// Asks for all tokens, whatever the model says; not in OpenAI's API, though most servers know it.
    public var ignoresEnd: Bool
    /// Nanoseconds until a request is given up.
    public var timeout: UInt64

    public init(url: String, model: String = "", key: String? = nil, isChat: Bool = false, ignoresEnd: Bool = false, timeout: UInt64 = 300_000_000_000) throws(LoadError) {
        guard let parsed = URL(string: url), let scheme = parsed.scheme, ["http", "https"].contains(scheme), parsed.host()?.isEmpty == false else {
            throw LoadError("'\(url)' is no address of a server; give one as in http://127.0.0.1:8080")
        }
        var base = url[...]
        while base.hasSuffix("/") { base.removeLast() }
        if base.hasSuffix("/v1") { base.removeLast(3) }
        (self.base, self.model, self.key) = (String(base), model, key)
        (self.isChat, self.ignoresEnd, self.timeout) = (isChat, ignoresEnd, timeout)
    }

    var path: String { base + (isChat ? "/v1/chat/completions" : "/v1/completions") }

    private struct Body: Encodable {
        struct Message: Encodable {
            var role = "user"
            var content: String
        }
        struct Options: Encodable { var include_usage = true }
        var model: String
        var prompt: String?
        var messages: [Message]?
        var max_tokens: Int
        var temperature = 0
        var stream = true
        var stream_options = Options()
        var ignore_eos: Bool?
    }

    func body(_ request: LoadRequest) -> [UInt8] {
        let body = Body(
            model: model, prompt: isChat ? nil : request.prompt, messages: isChat ? [.init(content: request.prompt)] : nil,
            max_tokens: request.maxTokens, ignore_eos: ignoresEnd ? true : nil)
        return (try? JSONEncoder().encode(body)).map(Array.init) ?? []
    }
}
