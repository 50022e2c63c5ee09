internal import Engine
internal import FoundationEssentials
internal import Tokens

/// How one kind of completion is said: as pieces of a stream, and whole.
protocol Wording: Sendable {
    associatedtype Choice: Encodable
    typealias Reply = OpenAIBodies.Reply<Choice>
    /// What has been sent of each answer.
    typealias Progress = [Sent]

    var header: ReplyHeader { get }
    /// Events before the first piece.
    func opening(_ count: Int) -> [Reply]
    /// What to send of an event; nil for nothing.
    func event(_ index: Int, _ event: Generation, _ progress: inout Progress) -> Reply?
    /// The last event of a stream whose client asked for usage.
    func usage(_ usage: Chorus.Usage) -> Reply
    /// All answers in one.
    func whole(_ voices: [Chorus.Voice], _ usage: Chorus.Usage) -> Reply
}

/// How much text of an answer has been sent.
struct Sent: Sendable {
    var characters = 0
}

/// What every reply to one request begins with.
struct ReplyHeader: Sendable {
    var id: String
    var created = Int(Date().timeIntervalSince1970)
    var model: ServedModel
    var tier: String

    init(_ prefix: String, _ model: ServedModel, _ priority: GenerationRequest.Priority) {
        id = prefix + "-" + KeyHash.hex((0..<12).map { _ in UInt8.random(in: 0...255) })
        self.model = model
        tier = switch priority {
        case .flex: "flex"
        case .standard: "default"
        case .priority: "priority"
        }
    }
}

extension Wording {
    func reply(_ object: String, _ choices: [Choice], _ usage: OpenAIBodies.Usage? = nil) -> Reply {
        Reply(id: header.id, object: object, created: header.created, model: header.model.id, choices: choices, usage: usage, serviceTier: header.tier)
    }

    func body(_ usage: Chorus.Usage) -> OpenAIBodies.Usage {
        OpenAIBodies.Usage(
            promptTokens: usage.prompt, completionTokens: usage.completion, totalTokens: usage.prompt + usage.completion,
            promptTokensDetails: .init(cachedTokens: usage.cached))
    }

    /// Tokens that are part of the text: not the one that ended it.
    func shown(_ tokens: [Generation.Token]) -> [Generation.Token] { tokens.filter { !header.model.tokenizer.ends.contains($0.id) } }

    func text(_ token: Int32) -> String { header.model.tokenizer.decode([token], skippingSpecials: false) }
}

/// Completions of chats.
struct ChatWording: Wording {
    typealias Choice = OpenAIBodies.ChatChoice
    let header: ReplyHeader

    init(service: Service, model: ServedModel, tier: GenerationRequest.Priority) { header = ReplyHeader("chatcmpl", model, tier) }

    func opening(_ count: Int) -> [Reply] {
        (0..<count).map { chunk(Choice(index: $0, delta: .init(role: "assistant", content: ""), logprobs: nil, finishReason: nil)) }
    }

    func event(_ index: Int, _ event: Generation, _ progress: inout Progress) -> Reply? {
        switch event {
        case .began: return nil
        case .piece(let piece):
            let scores = logprobs(piece.tokens)
            guard !piece.text.isEmpty || scores?.content.isEmpty == false else { return nil }
            return chunk(Choice(index: index, delta: .init(content: piece.text), logprobs: scores, finishReason: nil))
        case .ended(let ended): return chunk(Choice(index: index, delta: .init(), logprobs: nil, finishReason: ended.reason.rawValue))
        }
    }

    func usage(_ usage: Chorus.Usage) -> Reply { reply("chat.completion.chunk", [], body(usage)) }

    func whole(_ voices: [Chorus.Voice], _ usage: Chorus.Usage) -> Reply {
        reply("chat.completion", voices.enumerated().map { choice($0, $1) }, body(usage))
    }

    func choice(_ index: Int, _ voice: Chorus.Voice) -> Choice {
        Choice(
            index: index, message: .init(role: "assistant", content: voice.pieces.map(\.text).joined(), refusal: .init()),
            logprobs: logprobs(voice.pieces.flatMap(\.tokens)), finishReason: voice.ended.reason.rawValue)
    }

    private func chunk(_ choice: Choice) -> Reply { reply("chat.completion.chunk", [choice]) }

    /// Nil when none were asked for.
    private func logprobs(_ tokens: [Generation.Token]) -> OpenAIBodies.ChatLogprobs? {
        guard tokens.contains(where: { $0.logprob != nil }) else { return nil }
        let tokenizer = header.model.tokenizer
        return OpenAIBodies.ChatLogprobs(
            content: shown(tokens).map { token in
                OpenAIBodies.Logprob(
                    token: text(token.id), logprob: token.logprob ?? 0, bytes: tokenizer.bytes(of: token.id),
                    topLogprobs: token.top.map { .init(token: text($0.id), logprob: $0.logprob, bytes: tokenizer.bytes(of: $0.id)) })
            }, refusal: nil)
    }
}

/// Completions of plain text.
struct TextWording: Wording {
    typealias Choice = OpenAIBodies.TextChoice
    let header: ReplyHeader
    /// What each answer begins with; nil for nothing.
    let echoes: [String]?

    init(service: Service, model: ServedModel, tier: GenerationRequest.Priority, echoes: [String]?) {
        header = ReplyHeader("cmpl", model, tier)
        self.echoes = echoes
    }

    func opening(_ count: Int) -> [Reply] {
        (echoes ?? []).enumerated().map { chunk(Choice(index: $0, text: $1, logprobs: nil, finishReason: nil)) }
    }

    func event(_ index: Int, _ event: Generation, _ progress: inout Progress) -> Reply? {
        switch event {
        case .began: return nil
        case .piece(let piece):
            let scores = logprobs(piece.tokens, from: progress[index].characters)
            progress[index].characters += piece.text.count
            guard !piece.text.isEmpty || scores?.tokens.isEmpty == false else { return nil }
            return chunk(Choice(index: index, text: piece.text, logprobs: scores, finishReason: nil))
        case .ended(let ended): return chunk(Choice(index: index, text: "", logprobs: nil, finishReason: ended.reason.rawValue))
        }
    }

    func usage(_ usage: Chorus.Usage) -> Reply { reply("text_completion", [], body(usage)) }

    func whole(_ voices: [Chorus.Voice], _ usage: Chorus.Usage) -> Reply {
        reply("text_completion", voices.enumerated().map { choice($0, $1) }, body(usage))
    }

    func choice(_ index: Int, _ voice: Chorus.Voice) -> Choice {
        Choice(
            index: index, text: (echoes?[index] ?? "") + voice.pieces.map(\.text).joined(), logprobs: logprobs(voice.pieces.flatMap(\.tokens), from: 0),
            finishReason: voice.ended.reason.rawValue)
    }

    private func chunk(_ choice: Choice) -> Reply { reply("text_completion", [choice]) }

    /// Nil when none were asked for. Offsets are characters of the tokens' own texts.
    private func logprobs(_ tokens: [Generation.Token], from start: Int) -> OpenAIBodies.TextLogprobs? {
        guard tokens.contains(where: { $0.logprob != nil }) else { return nil }
        var logprobs = OpenAIBodies.TextLogprobs()
        var offset = start
        for token in shown(tokens) {
            let text = text(token.id)
            logprobs.tokens.append(text)
            logprobs.tokenLogprobs.append(token.logprob ?? 0)
            logprobs.topLogprobs.append(Dictionary(token.top.map { (self.text($0.id), $0.logprob) }) { first, _ in first })
            logprobs.textOffset.append(offset)
            offset += text.count
        }
        return logprobs
    }
}
