internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import NIOCore

/// Sees every request from head to last byte, and says in the access log what became of it.
struct Witness: RouterMiddleware {
    typealias Context = ServerContext
    let service: Service
    let logger: Logger

    func handle(_ request: Request, context: ServerContext, next: (Request, ServerContext) async throws -> Response) async throws -> Response {
        let began = ContinuousClock.now
        var response = try await next(request, context)
        response.headers[.requestID] = context.id
        let (head, body, status) = (request.head, response.body, response.status)
        response.body = ResponseBody(contentLength: body.contentLength) { writer in
            do { try await body.write(writer) } catch {
                log(head, context, status, began, isCut: true)
                throw error
            }
            log(head, context, status, began, isCut: false)
        }
        return response
    }

    private func log(_ head: HTTPRequest, _ context: ServerContext, _ status: HTTPResponse.Status, _ began: ContinuousClock.Instant, isCut: Bool) {
        let facts = context.record.now
        let took = (ContinuousClock.now - began).components
        var fields: Logger.Metadata = [
            "request": "\(context.id)", "method": "\(head.method)", "path": "\(context.endpointPath ?? "")", "status": "\(status.code)",
            "ms": "\(took.seconds * 1000 + took.attoseconds / 1_000_000_000_000_000)", "client": "\(facts.client)",
        ]
        if isCut { fields["cut"] = "true" }
        if let route = facts.route { fields["route"] = "\(route)" }
        if let finish = facts.finish { fields["finish"] = "\(finish)" }
        if let refusal = facts.refusal { fields["refusal"] = "\(refusal)" }
        if facts.promptTokens > 0 {
            fields["prompt_tokens"] = "\(facts.promptTokens)"
            fields["cached_tokens"] = "\(facts.cachedTokens)"
            fields["completion_tokens"] = "\(facts.completionTokens)"
        }
        logger.info("request", metadata: fields)
    }
}
