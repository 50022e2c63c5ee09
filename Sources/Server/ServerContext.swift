internal import Hummingbird
internal import NIOCore

/// What goes along with one HTTP request.
struct ServerContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    /// Whose request it is; set by the gate.
    var client = Client.everybody
    /// Its place in a trace.
    var trace = TraceContext(following: nil)
    let connection: any Channel
    /// What the access log will say of it.
    let record = RequestRecord()

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        connection = source.channel
    }
}

/// Where dialects add their routes.
typealias Routes = Hummingbird.Router<ServerContext>
