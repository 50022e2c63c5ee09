internal import Engine
internal import Tokens
internal import Synchronization

/// What is known of one HTTP request in the end. Any thread.
final class RequestRecord: Sendable {
    struct Facts: Sendable {
        var client = ""
        var model: String?
        var route: String?
        var routeReason: String?
        var promptTokens = 0
        var cachedTokens = 0
        var completionTokens = 0
        var finish: String?
        var refusal: String?
    }
    private let facts = Mutex(Facts())

    var now: Facts { facts.withLock { $0 } }

    func name(_ client: Client) { facts.withLock { $0.client = client.name } }

    func note(_ began: Generation.Began, model: String) {
        facts.withLock {
            $0.model = model
            $0.route = began.route
            $0.routeReason = began.routeReason
        }
    }

    func note(_ ended: Generation.Ended) {
        facts.withLock {
            $0.promptTokens += ended.promptTokens
            $0.cachedTokens += ended.cachedTokens
            $0.completionTokens += ended.completionTokens
            $0.finish = ended.reason.rawValue
        }
    }

    func note(_ refusal: Refusal) { facts.withLock { $0.refusal = refusal.words } }
}
