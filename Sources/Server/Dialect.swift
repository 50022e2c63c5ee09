internal import Engine
internal import HTTPTypes
internal import Hummingbird

/// One way in which clients speak to the server. It translates and decides nothing; see `Server`.
protocol Dialect: Sendable {
    /// Whether errors on `path` (as sent, without the query) that come up before a route is found are its own to write.
    func owns(_ path: String) -> Bool
    /// What needs no key.
    func addOpenRoutes(to router: Routes)
    /// What stands behind the gate: the client is known and the body has been read.
    func addRoutes(to router: Routes)
    func response(to refusal: Refusal, _ context: ServerContext) -> Response
}

extension Dialect {
    func addOpenRoutes(to router: Routes) {}

    /// What every answer's response says in headers: its route and why.
    func headers(of began: Generation.Began) -> HTTPFields {
        var fields = HTTPFields()
        fields[.route] = began.route + "; " + HTTPFields.plain(began.routeReason)
        return fields
    }
}

extension HTTPField.Name {
    /// The names are literals that the type takes; `contentType` stands in for one that it would not.
    private static func known(_ name: String) -> HTTPField.Name { HTTPField.Name(name) ?? .contentType }
    static let route = known("x-baton-route")
    static let routeMode = known("x-baton-route-mode")
    static let requestID = known("x-request-id")
    static let traceParent = known("traceparent")
    static let traceState = known("tracestate")
}

extension HTTPFields {
    /// `text` in what a header's value may hold.
    static func plain(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.map { (32..<127).contains($0.value) ? $0 : " " }))
    }
}
