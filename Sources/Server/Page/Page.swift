internal import HTTPTypes
internal import Hummingbird
internal import Synchronization

/// The page at `/`: what runs, drawn as it runs, and a box to chat. Its files are in the program and need no key, for they say nothing of anybody;
/// what they ask for stands behind the gate.
struct Page: Dialect {
    let service: Service
    private let watchers = Watchers()

    init(service: Service) { self.service = service }

    /// Pages that are kept up to date at once, at most.
    private static let mostWatchers = 32
    private static let interval = Duration.milliseconds(500)

    func owns(_ path: String) -> Bool { path == "/" || path == "/baton" || path.hasPrefix("/baton/") }

    func addOpenRoutes(to router: Routes) {
        let files: [(path: String, bytes: [UInt8], type: String)] = [
            ("/", PackageResources.page_html, "text/html"), ("baton/page.css", PackageResources.page_css, "text/css"),
            ("baton/page.js", PackageResources.page_js, "text/javascript"),
        ]
        for file in files {
            let body = ByteBuffer(bytes: file.bytes)
            let headers = Self.headers(type: file.type + "; charset=utf-8")
            router.get(RouterPath(file.path)) { _, _ in Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: body)) }
        }
    }

    func addRoutes(to router: Routes) {
        router.get("baton/status") { _, _ in
            Response(
                status: .ok, headers: Self.headers(type: "application/json"), body: ResponseBody(byteBuffer: try JSONText.bytes(PageStatus(service))))
        }
        router.get("baton/events") { _, _ in
            Response(status: .ok, headers: Self.headers(type: "text/event-stream; charset=utf-8"), body: ResponseBody { try await send(to: $0) })
        }
    }

    /// A status now and again, until the reader leaves or the server goes down.
    private func send(to writer: any ResponseBodyWriter) async throws {
        var events = EventStream(writer)
        let hasPlace = watchers.enter(most: Self.mostWatchers)
        defer { if hasPlace { watchers.leave() } }
        while hasPlace, !service.isDraining {
            try await events.send(PageStatus(service))
            try await Task.sleep(for: Self.interval)
        }
        try await events.finish()
    }

    func response(to refusal: Refusal, _ context: ServerContext) -> Response {
        struct Failure: Encodable { var error: String }
        let body = (try? JSONText.bytes(Failure(error: refusal.words))) ?? ByteBuffer()
        return Response(
            status: HTTPResponse.Status(code: refusal.status), headers: Self.headers(type: "application/json"), body: ResponseBody(byteBuffer: body))
    }

    /// Nothing from elsewhere, in no frame, kept nowhere.
    private static func headers(type: String) -> HTTPFields {
        var fields: HTTPFields = [.contentType: type, .cacheControl: "no-store", .contentSecurityPolicy: policy, .xContentTypeOptions: "nosniff"]
        if let name = HTTPField.Name("referrer-policy") { fields[name] = "no-referrer" }
        return fields
    }

    private static let policy =
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

    private final class Watchers: Sendable {
        private let count = Mutex(0)

        func enter(most: Int) -> Bool {
            count.withLock { count in
                guard count < most else { return false }
                count += 1
                return true
            }
        }

        func leave() { count.withLock { $0 -= 1 } }
    }
}
