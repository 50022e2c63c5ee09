internal import Engine
internal import HTTPTypes
internal import Hummingbird
internal import Tokens

/// OpenAI's API: models, chats, plain completions.
struct OpenAIDialect: Dialect {
    let service: Service

    func owns(_ path: String) -> Bool { path == "/v1" || path.hasPrefix("/v1/") }

    func addRoutes(to router: Routes) {
        let group = router.group("v1")
        group.get("models") { _, _ in try Self.json(OpenAIBodies.ModelList(data: [model(service.model)])) }
        group.get("models/:id") { _, context in
            try Self.json(model(try service.model(named: context.parameters.get("id") ?? "")))
        }
        group.post("chat/completions") { request, context in try await chat(request, context) }
        group.post("completions") { request, context in try await complete(request, context) }
    }

    private func model(_ served: ServedModel) -> OpenAIBodies.Model { OpenAIBodies.Model(id: served.id, created: served.created) }

    private func chat(_ request: Request, _ context: ServerContext) async throws -> Response {
        let body = try JSONText.read(ChatRequest.self, from: try await request.body.collect(upTo: .max))
        let model = try service.model(named: body.model)
        let questions = try spread([try body.question()], body.common, request.headers)
        let wording = ChatWording(service: service, model: model, tier: context.client.permitted(questions[0].priority))
        return try await answer(questions, body.common, wording, context)
    }

    private func complete(_ request: Request, _ context: ServerContext) async throws -> Response {
        let body = try JSONText.read(CompletionRequest.self, from: try await request.body.collect(upTo: .max))
        let model = try service.model(named: body.model)
        let questions = try spread(try body.questions(), body.common, request.headers)
        let wording = TextWording(
            service: service, model: model, tier: context.client.permitted(questions[0].priority),
            echoes: body.echo == true ? try questions.map { try echo($0) } : nil)
        return try await answer(questions, body.common, wording, context)
    }

    private func echo(_ question: Question) throws(Refusal) -> String {
        if case .text(let text) = question.input { return text }
        return service.model.tokenizer.decode(try service.tokens(question.input), skippingSpecials: false)
    }

    /// `n` of each, of different chance.
    private func spread(_ questions: [Question], _ common: CommonFields, _ headers: HTTPFields) throws(Refusal) -> [Question] {
        let copies = try common.choices()
        guard questions.count * copies <= service.settings.maxChoices else {
            throw Refusal(.invalid, "\(questions.count) prompts of n=\(copies) are asked at once; ask for at most \(service.settings.maxChoices) in all", field: "n")
        }
        let way = try RouteMode(headers)
        return questions.flatMap { question in
            (0..<copies).map { copy in
                var one = question
                one.seed = question.seed.map { $0 &+ UInt64(copy) }
                one.mode = way.mode
                one.requiresDisaggregated = way.isRequired
                return one
            }
        }
    }

    private func answer(_ questions: [Question], _ common: CommonFields, _ wording: some Wording, _ context: ServerContext) async throws -> Response {
        let answers = try await service.ask(questions, context)
        let chorus = Chorus(answers, context.record)
        var response: Response
        if common.stream == true {
            response = stream(chorus, wording, includesUsage: common.includesUsage)
        } else {
            let voices = try await chorus.whole()
            response = try Self.json(wording.whole(voices, chorus.usage))
        }
        if let first = answers.first { response.headers.append(contentsOf: headers(of: first.began)) }
        return response
    }

    private func stream<W: Wording>(_ chorus: Chorus, _ wording: W, includesUsage: Bool) -> Response {
        let body = ResponseBody { writer in
            var events = EventStream(writer)
            for event in wording.opening(chorus.count) { try await events.send(event) }
            do {
                var state = W.Progress(repeating: .init(), count: chorus.count)
                for try await (index, event) in chorus.events {
                    if let event = wording.event(index, event, &state) { try await events.send(event) }
                }
                if includesUsage { try await events.send(wording.usage(chorus.usage)) }
            } catch let error as EngineError {
                let refusal = Refusal(error, isDraining: service.isDraining)
                chorus.record.note(refusal)
                try await events.send(Self.failure(refusal))
            }
            try await events.finish()
        }
        return Response(status: .ok, headers: [.contentType: "text/event-stream; charset=utf-8", .cacheControl: "no-cache"], body: body)
    }

    func response(to refusal: Refusal, _ context: ServerContext) -> Response {
        let status = HTTPResponse.Status(code: refusal.status)
        let response = try? Self.json(Self.failure(refusal), status: status)
        return response ?? Response(status: status)
    }

    static func json(_ value: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
        Response(status: status, headers: [.contentType: "application/json"], body: ResponseBody(byteBuffer: try JSONText.bytes(value)))
    }

    /// In OpenAI's shape, with its types and codes.
    static func failure(_ refusal: Refusal) -> OpenAIBodies.Failure {
        let (type, code): (String, String?) =
            switch refusal.kind {
            case .invalid, .wrongMethod: ("invalid_request_error", nil)
            case .tooLong: ("invalid_request_error", "context_length_exceeded")
            case .anonymous, .unauthenticated: ("invalid_request_error", "invalid_api_key")
            case .forbidden: ("invalid_request_error", "forbidden")
            case .unknownModel: ("invalid_request_error", "model_not_found")
            case .unknownPath: ("invalid_request_error", "unknown_url")
            case .tooLarge: ("invalid_request_error", "request_too_large")
            case .limited: ("requests", "rate_limit_exceeded")
            case .busy: ("server_error", "engine_overloaded")
            case .unavailable, .draining: ("server_error", "service_unavailable")
            case .failed, .left: ("server_error", "internal_error")
            }
        return OpenAIBodies.Failure(error: .init(message: refusal.words, type: type, param: refusal.field, code: code))
    }
}
