internal import Engine
internal import HTTPTypes

/// The header `x-baton-route-mode`: which way a request is to go.
struct RouteMode: Sendable, Hashable {
    /// Nil leaves it to the manifest.
    var mode: Route.Mode?
    var isRequired = false

    /// - Throws: when the header says something else than the four words.
    init(_ headers: HTTPFields) throws(Refusal) {
        switch headers[.routeMode] {
        case nil: break
        case "auto": mode = .auto
        case "disaggregated": mode = .disaggregated
        case "aggregated": mode = .aggregated
        case "require_disaggregated": isRequired = true
        case let word?:
            throw Refusal(
                .invalid, "x-baton-route-mode is \(word.prefix(40)); give auto, disaggregated, aggregated or require_disaggregated", field: "x-baton-route-mode")
        }
    }
}
