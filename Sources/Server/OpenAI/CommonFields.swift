internal import Engine

/// What chats and plain completions have alike.
struct CommonFields: Decodable, Sendable {
    var stream: Bool?
    var streamOptions: ChatRequest.StreamOptions?
    var stop: OneOrMany?
    var seed: Whole?
    var temperature: Double?
    var topP: Double?
    var n: Whole?
    var serviceTier: String?
    var presencePenalty: Double?
    var frequencyPenalty: Double?
    var logitBias: [String: Double]?
    /// Beyond OpenAI's: only the likeliest so many.
    var topK: Whole?
    /// Beyond OpenAI's: all tokens asked for; those that end a text are never chosen.
    var ignoreEOS: Bool?

    enum CodingKeys: String, CodingKey {
        case stream, stop, seed, temperature, n
        case streamOptions = "stream_options"
        case topP = "top_p"
        case topK = "top_k"
        case ignoreEOS = "ignore_eos"
        case serviceTier = "service_tier"
        case presencePenalty = "presence_penalty"
        case frequencyPenalty = "frequency_penalty"
        case logitBias = "logit_bias"
    }

    /// The most stop strings, and bytes of each, that are watched for.
    private static let (mostStops, longestStop) = (16, 1024)

    var includesUsage: Bool { streamOptions?.includeUsage == true }

    func apply(to question: inout Question) throws(Refusal) {
        if let presencePenalty, presencePenalty != 0 { throw Self.unsupported("presence_penalty") }
        if let frequencyPenalty, frequencyPenalty != 0 { throw Self.unsupported("frequency_penalty") }
        if logitBias?.isEmpty == false { throw Self.unsupported("logit_bias") }
        if streamOptions != nil, stream != true {
            throw Refusal(.invalid, "stream_options is given without stream; set stream to true", field: "stream_options")
        }
        question.temperature = try Self.number(temperature, "temperature", "0 to 2") { (0...2).contains($0) }
        question.topP = try Self.number(topP, "top_p", "a number above 0 and at most 1") { $0 > 0 && $0 <= 1 }
        question.topK = try Self.count(topK?.value, "top_k", 0)
        question.seed = seed.map { UInt64(bitPattern: Int64($0.value)) }
        question.stops = try stops()
        question.ignoresEnd = ignoreEOS == true
        question.priority = try priority()
    }

    private func stops() throws(Refusal) -> [String] {
        let all = stop?.all ?? []
        guard all.count <= Self.mostStops, all.allSatisfy({ !$0.isEmpty && $0.utf8.count <= Self.longestStop }) else {
            throw Refusal(.invalid, "stop has \(all.count) strings; give at most \(Self.mostStops), each of 1 to \(Self.longestStop) bytes", field: "stop")
        }
        return all
    }

    private func priority() throws(Refusal) -> GenerationRequest.Priority {
        switch serviceTier {
        case nil, "auto", "default", "scale": .standard
        case "flex": .flex
        case "priority": .priority
        case let tier?: throw Refusal(.invalid, "service_tier is \(tier.prefix(40)); give auto, default, flex or priority", field: "service_tier")
        }
    }

    /// Completions of each prompt.
    func choices() throws(Refusal) -> Int { try Self.count(n?.value, "n", 1) ?? 1 }

    static func unsupported(_ field: String) -> Refusal { Refusal(.invalid, "\(field) is not offered here; leave it out", field: field) }

    static func count(_ value: Int?, _ field: String, _ least: Int) throws(Refusal) -> Int? {
        guard let value else { return nil }
        guard value >= least, value <= Int(Int32.max) else { throw Refusal(.invalid, "\(field) is \(value); give at least \(least)", field: field) }
        return value
    }

    private static func number(_ value: Double?, _ field: String, _ wanted: String, where isGood: (Double) -> Bool) throws(Refusal) -> Double? {
        guard let value else { return nil }
        guard isGood(value) else { throw Refusal(.invalid, "\(field) is \(value); give \(wanted)", field: field) }
        return value
    }
}
