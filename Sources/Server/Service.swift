internal import Engine
internal import NIOCore
internal import Synchronization
internal import Tokens

/// What all dialects ask: one model, one engine, who may ask how much.
final class Service: Sendable {
    let model: ServedModel
    let settings: ServerSettings
    /// What this server counts beside its engine.
    let registry = MetricsRegistry()
    private let state = Mutex(State())

    private struct State {
        var isDraining = false
        /// By client; there are as many as keys.
        var allowances: [Client: Allowance] = [:]
    }

    init(model: ServedModel, settings: ServerSettings) {
        self.model = model
        self.settings = settings
    }

    var isDraining: Bool { state.withLock { $0.isDraining } }

    /// The model of that name.
    func model(named id: String) throws(Refusal) -> ServedModel {
        guard id == model.id else { throw Refusal(.unknownModel, "the model \(id.prefix(100)) does not exist here; ask for \(model.id)", field: "model") }
        return model
    }

    /// Refuses what is new from now on; returns once nothing waits or runs, or `settings.drainLimit` has passed.
    func drain() async {
        state.withLock { $0.isDraining = true }
        await model.engine.drain(limit: settings.drainLimit)
    }

    /// The prompt's tokens, template applied.
    func tokens(_ input: Question.Input) throws(Refusal) -> [Int32] {
        do {
            switch input {
            case .tokens(let ids): return ids
            case .text(let text): return try encode(text)
            case .chat(let turns):
                guard let template = model.template else { throw Refusal(.invalid, "\(model.id) has no chat template; ask for a completion of plain text") }
                return try encode(template.render(turns, addingGenerationPrompt: true))
            }
        } catch let error as Refusal { throw error } catch let error as TokensError {
            throw Refusal(.invalid, "the conversation does not fit the model's template: \(error)", field: "messages")
        } catch { throw Refusal(.invalid, "\(error)") }
    }

    private func encode(_ text: String) throws -> [Int32] {
        try model.hooks.guardInput(text)
        let ids = model.hooks.replacesTokenizer ? try model.hooks.tokenize(text) : model.tokenizer.encode(text)
        return model.tokenizer.addsBOS ? [model.tokenizer.bos].compactMap { $0 } + ids : ids
    }

    /// Asks the engine and waits until the request has left the queue. A client that leaves cancels it, at once, whatever it is doing.
    func ask(_ question: Question, _ context: ServerContext) async throws(Refusal) -> Answer {
        if isDraining { throw Refusal(.draining, "the server is going down and takes no more requests; ask another one", retryAfter: 1) }
        let request = try request(question, context)
        let (client, record) = (context.client, context.record)
        try begin(client, request.request.prompt.count)
        do {
            let departure = try await ConnectionWatch.departure(of: context.connection)
            let answer = try await Answer(model.engine.generate(request), until: departure, promptTokens: request.request.prompt.count) { made in
                self.end(client, made)
            }
            record.note(answer.began, model: model.id)
            return answer
        } catch let error as EngineError {
            throw Refusal(error, isDraining: isDraining)
        } catch is CancellationError {
            throw Refusal(.left, "the client left before its request began")
        } catch { throw Refusal(.failed, "the request ended before it began: \(error)") }
    }

    private func begin(_ client: Client, _ promptTokens: Int) throws(Refusal) {
        guard client.limits != ClientLimits() else { return }
        let now = WallClock.now
        try state.withLock { state throws(Refusal) in
            var allowance = state.allowances[client] ?? Allowance(client.limits, now: now)
            defer { state.allowances[client] = allowance }
            try allowance.begin(promptTokens: promptTokens, now: now)
        }
    }

    private func end(_ client: Client, _ completionTokens: Int) {
        let now = WallClock.now
        state.withLock { $0.allowances[client]?.end(completionTokens: completionTokens, now: now) }
    }

    /// Asks several at once and waits until all have left the queue. When one is refused the others are cancelled.
    func ask(_ questions: [Question], _ context: ServerContext) async throws -> [Answer] {
        if let only = questions.first, questions.count == 1 { return [try await ask(only, context)] }
        return try await withThrowingTaskGroup(of: (Int, Answer).self) { group in
            for (index, question) in questions.enumerated() { group.addTask { (index, try await self.ask(question, context)) } }
            var answers: [Int: Answer] = [:]
            for try await (index, answer) in group { answers[index] = answer }
            return questions.indices.compactMap { answers[$0] }
        }
    }

    /// What the question is to the engine.
    func request(_ question: Question, _ context: ServerContext) throws(Refusal) -> GenerationRequest {
        let prompt = try tokens(question.input)
        guard !prompt.isEmpty else { throw Refusal(.invalid, "the prompt has no tokens; give it some text", field: question.inputField) }
        let room = model.context - prompt.count
        guard room >= 0 else {
            throw Refusal(
                .tooLong, "the prompt has \(prompt.count) tokens and this model's context holds \(model.context); shorten it", field: question.inputField)
        }
        let request = Request(
            prompt: prompt, maxTokens: min(question.maxTokens ?? settings.defaultMaxTokens, room), sampling: try sampling(question),
            stops: question.stops, avoidsEnd: question.ignoresEnd)
        return GenerationRequest(
            request, client: context.client.name, priority: context.client.permitted(question.priority), mode: question.mode,
            requiresDisaggregated: question.requiresDisaggregated, topLogprobs: question.topLogprobs)
    }

    private func sampling(_ question: Question) throws(Refusal) -> SamplingOptions {
        let standard = model.sampling
        do throws(TokensError) {
            return try SamplingOptions(
                temperature: Float(question.temperature ?? standard.temperature ?? 1), topK: question.topK ?? standard.topK ?? 0,
                topP: Float(question.topP ?? standard.topP ?? 1), minP: Float(standard.minP ?? 0),
                repetitionPenalty: Float(standard.repetitionPenalty ?? 1), seed: question.seed ?? standard.seed ?? UInt64.random(in: 0...UInt64.max))
        } catch { throw Refusal(.invalid, "\(error)", field: String(error.description.prefix { $0 != " " })) }
    }
}
