internal import Engine
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import Tokens

/// Bedrock's runtime, and of its control plane the lists of models.
struct BedrockDialect: Dialect {
    let service: Service

    private var id: BedrockModelID { BedrockModelID(name: service.model.id) }
    /// The first segments of every path that Bedrock has, so that what is not offered is refused in its words.
    private static let places: Set<Substring> = [
        "model", "foundation-models", "guardrail", "guardrails", "async-invoke", "inference-profiles", "custom-models", "provisioned-model-throughputs",
    ]

    func owns(_ path: String) -> Bool { path.split(separator: "/").first.map(Self.places.contains) ?? false }

    func addRoutes(to router: Routes) {
        router.post("model/:id/converse") { request, context in
            let (body, _) = try await read(ConverseBody.self, request, context)
            return try await whole(body.question, ConverseWording(wish: body.wish), request, context)
        }
        router.post("model/:id/converse-stream") { request, context in
            let (body, _) = try await read(ConverseBody.self, request, context)
            return try await stream(body.question, request, context) { _ in ConverseWording(wish: body.wish) }
        }
        router.post("model/:id/invoke") { request, context in
            let (body, wish) = try await invocation(request, context)
            return try await whole(body.question(wish), InvokeWording(wish: wish, promptTokens: 0), request, context)
        }
        router.post("model/:id/invoke-with-response-stream") { request, context in
            let (body, wish) = try await invocation(request, context)
            return try await stream(body.question(wish), request, context) { InvokeWording(wish: wish, promptTokens: $0.promptTokens) }
        }
        router.post("model/:id/count-tokens") { request, context in
            let (body, _) = try await read(CountTokensBody.self, request, context)
            return try json(["inputTokens": try service.tokens(body.input).count], context)
        }
        router.get("foundation-models") { request, context in
            let model = FoundationModel(id, region: region(request))
            return try json(FoundationModel.List(modelSummaries: try model.passes(query(request)) ? [model] : []), context)
        }
        router.get("foundation-models/:id") { request, context in
            try checkModel(context)
            return try json(FoundationModel.Details(modelDetails: FoundationModel(id, region: region(request))), context)
        }
    }

    // MARK: Reading

    private func read<Body: Decodable>(_ type: Body.Type, _ request: Request, _ context: ServerContext) async throws -> (Body, ServiceWish) {
        try checkModel(context)
        let wish = try ServiceWish(request.headers)
        return (try JSONText.read(type, from: try await request.body.collect(upTo: .max)), wish)
    }

    private func invocation(_ request: Request, _ context: ServerContext) async throws -> (InvokeBody, ServiceWish) {
        if request.headers[.guardrail] != nil {
            throw Refusal(.invalid, "x-amzn-bedrock-guardrailidentifier is given, and guardrails are not offered; leave it out", field: "guardrailIdentifier")
        }
        return try await read(InvokeBody.self, request, context)
    }

    private func checkModel(_ context: ServerContext) throws(Refusal) {
        let raw = context.parameters.get("id") ?? ""
        guard let text = String(validating: PercentCoding.decode(raw.utf8), as: UTF8.self) else {
            throw Refusal(.invalid, "the model id is not UTF-8; ask for \(id.listed)", field: "modelId")
        }
        guard try id.isNamed(by: text) else {
            throw Refusal(.unknownModel, "the model \(text.prefix(100)) does not exist here; ask for \(id.listed)", field: "modelId")
        }
    }

    private func query(_ request: Request) -> [(name: String, value: String)] {
        (request.uri.query ?? "").split(separator: "&").map { pair in
            let name = pair.prefix { $0 != "=" }
            return (String(name), String(decoding: PercentCoding.decode(pair.dropFirst(name.count + 1).utf8), as: UTF8.self))
        }
    }

    /// The one that the request is signed for.
    private func region(_ request: Request) -> String {
        (try? SignatureClaim(WireRequest(request.head)))?.region ?? "us-east-1"
    }

    // MARK: Answering

    private func ask(_ question: Question, _ request: Request, _ context: ServerContext) async throws -> Answer {
        let way = try RouteMode(request.headers)
        var question = question
        question.mode = way.mode
        question.requiresDisaggregated = way.isRequired
        return try await service.ask(question, context)
    }

    private func whole(_ question: Question, _ wording: some BedrockWording, _ request: Request, _ context: ServerContext) async throws -> Response {
        let answer = try await ask(question, request, context)
        var told: (pieces: [Generation.Piece], ended: Generation.Ended)?
        do { told = try await answer.whole() } catch let error as EngineError { throw Refusal(error, isDraining: service.isDraining) }
        guard let told else { throw Refusal(.left, "the client left before the answer was complete") }
        context.record.note(told.ended)
        let text = told.pieces.map(\.text).joined()
        let (body, fields) = try wording.whole(text, outcome(told.ended, last: told.pieces.last?.tokens.last?.id, question))
        var response = response(body, context)
        response.headers.append(contentsOf: fields)
        response.headers.append(contentsOf: headers(of: answer.began))
        return response
    }

    private func stream(
        _ question: Question, _ request: Request, _ context: ServerContext, wording: (Answer) -> some BedrockWording
    ) async throws -> Response {
        let answer = try await ask(question, request, context)
        let words = wording(answer)
        let body = ResponseBody { writer in
            var stream = MessageWriter(writer)
            do { try await tell(answer, question, words, context, &stream) } catch let error as EngineError {
                let refusal = Refusal(error, isDraining: service.isDraining)
                context.record.note(refusal)
                try await stream.send(Self.exception(BedrockError(refusal, isStreaming: true)))
            }
            try await stream.finish()
        }
        var response = Response(status: .ok, headers: [.contentType: EventStreamMessage.contentType, .amazonRequestID: context.id], body: body)
        response.headers.append(contentsOf: words.streamHeaders)
        response.headers.append(contentsOf: headers(of: answer.began))
        return response
    }

    private func tell(
        _ answer: Answer, _ question: Question, _ words: some BedrockWording, _ context: ServerContext, _ stream: inout MessageWriter
    ) async throws {
        var words = words
        var last: Int32?
        try await stream.send(try words.opening())
        for try await event in answer.events {
            switch event {
            case .began: break
            case .piece(let piece):
                last = piece.tokens.last?.id ?? last
                try await stream.send(try words.piece(piece))
            case .ended(let ended):
                context.record.note(ended)
                try await stream.send(try words.ending(outcome(ended, last: last, question)))
            }
        }
    }

    private func outcome(_ ended: Generation.Ended, last: Int32?, _ question: Question) -> Outcome {
        Outcome(ended, last: last, ends: service.model.tokenizer.ends, asked: question.maxTokens ?? service.settings.defaultMaxTokens)
    }

    private static func exception(_ error: BedrockError) -> [EventStreamMessage] {
        let body = try? JSONText.bytes(["message": error.message], snakeCase: false)
        return [.exception(error.kind.exceptionType, body.map { Array($0.readableBytesView) } ?? [])]
    }

    private func json(_ value: some Encodable, _ context: ServerContext) throws -> Response {
        response(try JSONText.bytes(value, snakeCase: false), context)
    }

    private func response(_ body: ByteBuffer, _ context: ServerContext, status: HTTPResponse.Status = .ok) -> Response {
        Response(
            status: status, headers: [.contentType: "application/json", .amazonRequestID: context.id], body: ResponseBody(byteBuffer: body))
    }

    func response(to refusal: Refusal, _ context: ServerContext) -> Response {
        let error = BedrockError(refusal)
        let body = try? JSONText.bytes(["message": error.message], snakeCase: false)
        var response = response(body ?? ByteBuffer(), context, status: HTTPResponse.Status(code: refusal.kind == .left ? refusal.status : error.kind.status))
        response.headers[.errorType] = error.kind.rawValue
        return response
    }
}
