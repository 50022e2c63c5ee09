internal import Engine
internal import HTTPTypes

/// How a request would be served, as Bedrock words it: `performanceConfig.latency` and `serviceTier.type`, or two headers.
struct ServiceWish: Sendable, Hashable {
    enum Latency: String, CaseIterable, Sendable { case standard, optimized }
    enum Tier: String, CaseIterable, Sendable { case `default`, flex, priority, reserved }

    var latency: Latency?
    var tier: Tier?

    /// The tier's, where one is named; else optimised latency goes first.
    var priority: GenerationRequest.Priority {
        switch tier {
        case .flex: .flex
        case .default: .standard
        case .priority, .reserved: .priority
        case nil: latency == .optimized ? .priority : .standard
        }
    }

    /// From the headers of `invoke`, whose body is the model's own.
    init(_ headers: HTTPFields) throws(Refusal) {
        latency = try Self.word(headers, .latency)
        tier = try Self.word(headers, .tier)
    }

    private static func word<Word: RawRepresentable & CaseIterable>(_ headers: HTTPFields, _ name: HTTPField.Name) throws(Refusal) -> Word?
    where Word.RawValue == String {
        guard let text = headers[name] else { return nil }
        guard let word = Word(rawValue: text) else {
            throw Refusal(.invalid, "\(name.canonicalName) is \(HTTPFields.plain(String(text.prefix(40)))); give \(Word.words)", field: name.canonicalName)
        }
        return word
    }

    /// What the answer repeats in headers.
    var headers: HTTPFields {
        var fields = HTTPFields()
        if let latency { fields[.latency] = latency.rawValue }
        if let tier { fields[.tier] = tier.rawValue }
        return fields
    }
}

extension ServiceWish: Decodable {
    private enum Keys: String, CodingKey { case performanceConfig, serviceTier }
    private enum PerformanceKeys: String, CodingKey { case latency }
    private enum TierKeys: String, CodingKey { case type }

    /// From the body of a conversation.
    init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: Keys.self)
        if try !fields.isNil(.performanceConfig) {
            latency = try fields.nestedContainer(keyedBy: PerformanceKeys.self, forKey: .performanceConfig).word(Latency.self, .latency)
        }
        if try !fields.isNil(.serviceTier) {
            let inner = try fields.nestedContainer(keyedBy: TierKeys.self, forKey: .serviceTier)
            guard let tier = try inner.word(Tier.self, .type) else { throw inner.wrong(.type, "is missing; give \(Tier.words)") }
            self.tier = tier
        }
    }
}

extension KeyedDecodingContainer {
    /// Whether the key is absent or null, which is the same here.
    func isNil(_ key: Key) throws -> Bool { try !contains(key) || decodeNil(forKey: key) }
}

extension HTTPField.Name {
    private static func bedrock(_ name: String) -> HTTPField.Name { HTTPField.Name("x-amzn-bedrock-" + name) ?? .accept }
    static let latency = bedrock("performanceconfig-latency")
    static let tier = bedrock("service-tier")
    static let bedrockContentType = bedrock("content-type")
    static let guardrail = bedrock("guardrailidentifier")
    static let inputTokenCount = bedrock("input-token-count")
    static let outputTokenCount = bedrock("output-token-count")
    static let invocationLatency = bedrock("invocation-latency")
    static let errorType = HTTPField.Name("x-amzn-errortype") ?? .accept
    static let amazonRequestID = HTTPField.Name("x-amzn-requestid") ?? .accept
}
