internal import HTTPTypes
internal import Hummingbird

/// Writes every refusal as the dialect that owns the path would.
struct Refuser: RouterMiddleware {
    typealias Context = ServerContext
    /// The first writes what none owns.
    let dialects: [any Dialect]

    func handle(_ request: Request, context: ServerContext, next: (Request, ServerContext) async throws -> Response) async throws -> Response {
        do { return try await next(request, context) } catch {
            let refusal = refusal(error, request)
            let dialect = dialects.first { $0.owns(request.uri.path) } ?? dialects[0]
            context.record.note(refusal)
            var response = dialect.response(to: refusal, context)
            if let seconds = refusal.retryAfterSeconds { response.headers[.retryAfter] = "\(seconds)" }
            // The rest of a body that is not wanted is not read.
            if [.tooLarge, .anonymous, .unauthenticated].contains(refusal.kind) { response.headers[.connection] = "close" }
            return response
        }
    }

    private func refusal(_ error: any Error, _ request: Request) -> Refusal {
        if let refusal = error as? Refusal { return refusal }
        switch (error as? HTTPError)?.status {
        case .notFound?: return Refusal(.unknownPath, "there is no \(request.method) \(request.uri.path.prefix(200)) here; see the documentation")
        case .contentTooLarge?: return Refusal(.tooLarge, "the body has more bytes than are read; send less")
        case let status? where (400..<500).contains(status.code): return Refusal(.invalid, "the request cannot be read; check it")
        default: return Refusal(.failed, "the request failed: \(error)")
        }
    }
}
