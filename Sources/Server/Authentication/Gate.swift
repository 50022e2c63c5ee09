internal import HTTPTypes
internal import Hummingbird
internal import NIOCore

/// What stands before every route that is not open: reads the body within its limit and finds out whose the request is.
struct Gate: RouterMiddleware {
    typealias Context = ServerContext
    let service: Service
    /// Nil lets everybody in who is on this machine.
    let keys: KeyRing?
    let schemes: [any AuthenticationScheme]

    func handle(_ request: Request, context: ServerContext, next: (Request, ServerContext) async throws -> Response) async throws -> Response {
        var request = request
        var context = context
        let scheme = schemes.first { $0.claims(request.head) }
        if keys == nil { try refuseStrangers(request.head) }
        if let keys { try scheme?.precheck(request.head, in: keys) }
        if let keys, scheme?.needsBody != true { try admit(request.head, scheme, keys, body: ByteBuffer(), &context) }
        let body = try await body(of: &request)
        if let keys, scheme?.needsBody == true { try admit(request.head, scheme, keys, body: body, &context) }
        context.record.name(context.client)
        return try await next(request, context)
    }

    private func admit(
        _ head: HTTPRequest, _ scheme: (any AuthenticationScheme)?, _ keys: KeyRing, body: ByteBuffer, _ context: inout ServerContext
    ) throws(Refusal) {
        guard let scheme else {
            throw Refusal(.anonymous, "no API key was given; send \"Authorization: Bearer KEY\"")
        }
        context.client = try scheme.key(of: ReceivedRequest(head: head, body: body), in: keys).client
    }

    /// Without keys a page on another site must not reach the server through the browser of somebody on this machine.
    private func refuseStrangers(_ head: HTTPRequest) throws(Refusal) {
        let origin = head.headerFields[.origin].map { $0.split(separator: "/", maxSplits: 2).last.map(String.init) ?? "" }
        for authority in [head.authority, origin].compactMap({ $0 }) where !ServerSettings.isLoopback(Self.host(authority)) {
            throw Refusal(.forbidden, "this server has no keys and answers to loopback names only; ask 127.0.0.1 or localhost")
        }
    }

    /// `name:port` without the port.
    private static func host(_ authority: String) -> String {
        guard !authority.hasPrefix("["), let colon = authority.lastIndex(of: ":") else {
            return authority.lastIndex(of: "]").map { String(authority[...$0]) } ?? authority
        }
        return String(authority[..<colon])
    }

    private func body(of request: inout Request) async throws(Refusal) -> ByteBuffer {
        let most = service.settings.maxBodyBytes
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > most { throw tooLarge(most) }
        do { return try await request.collectBody(upTo: most) } catch is NIOTooManyBytesError {
            throw tooLarge(most)
        } catch let error as HTTPError where error.status == .contentTooLarge {
            throw tooLarge(most)
        } catch { throw Refusal(.invalid, "the body ended before it was complete; send all of it") }
    }

    private func tooLarge(_ most: Int) -> Refusal {
        Refusal(.tooLarge, "the body has more than \(most) bytes, the most that is read; send less")
    }
}
