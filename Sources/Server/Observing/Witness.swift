internal import CoreMetrics
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import NIOCore

/// Sees every request from head to last byte: its place in a trace, its counts, and what the access log says became of it.
struct Witness: RouterMiddleware {
    typealias Context = ServerContext
    let service: Service
    let logger: Logger

    func handle(_ request: Request, context: ServerContext, next: (Request, ServerContext) async throws -> Response) async throws -> Response {
        let began = ContinuousClock.now
        var context = context
        context.trace = TraceContext(following: request.headers[.traceParent])
        var response = try await next(request, context)
        response.headers[.requestID] = context.id
        response.headers[.traceParent] = context.trace.header
        let visit = Visit(request: request.head, context: context, status: response.status, began: began)
        let body = response.body
        response.body = ResponseBody(contentLength: body.contentLength) { writer in
            do { try await body.write(writer) } catch {
                note(visit, isCut: true)
                throw error
            }
            note(visit, isCut: false)
        }
        return response
    }

    private struct Visit: Sendable {
        var request: HTTPRequest
        var context: ServerContext
        var status: HTTPResponse.Status
        var began: ContinuousClock.Instant
        var path: String { context.endpointPath ?? "" }
    }

    private func note(_ visit: Visit, isCut: Bool) {
        let took = ContinuousClock.now - visit.began
        let nanoseconds = took.components.seconds * 1_000_000_000 + took.components.attoseconds / 1_000_000_000
        let labels = [("path", visit.path), ("status", "\(visit.status.code)")]
        Counter(label: "baton_http_requests_total", dimensions: labels, factory: service.registry).increment()
        Timer(label: "baton_http_request_seconds", dimensions: [("path", visit.path)], factory: service.registry).recordNanoseconds(nanoseconds)
        var fields = fields(of: visit)
        fields["ms"] = .stringConvertible(Double(nanoseconds / 10_000) / 100)
        if isCut { fields["cut"] = .stringConvertible(true) }
        logger.info("request", metadata: fields)
    }

    private func fields(of visit: Visit) -> Logger.Metadata {
        let (facts, trace) = (visit.context.record.now, visit.context.trace)
        var fields: Logger.Metadata = [
            "request": "\(visit.context.id)", "method": "\(visit.request.method)", "path": "\(visit.path)",
            "status": .stringConvertible(visit.status.code), "client": "\(facts.client)", "trace_id": "\(trace.trace)", "span_id": "\(trace.span)",
        ]
        let texts = [
            ("parent_id", trace.parent), ("model", facts.model), ("route", facts.route), ("route_reason", facts.routeReason), ("finish", facts.finish),
            ("refusal", facts.refusal),
        ]
        for (name, text) in texts { if let text { fields[name] = "\(text)" } }
        if facts.promptTokens > 0 {
            for (name, count) in [("prompt_tokens", facts.promptTokens), ("cached_tokens", facts.cachedTokens), ("completion_tokens", facts.completionTokens)] {
                fields[name] = .stringConvertible(count)
            }
        }
        return fields
    }
}
