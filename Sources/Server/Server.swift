internal import Hummingbird
internal import HummingbirdCore
internal import HummingbirdTLS
internal import NIOCore
internal import NIOSSL
internal import ServiceLifecycle
internal import Synchronization
internal import UnixSignals
public import Logging

/// Answers over HTTP: dialects translate, one engine generates.
///
/// **How a dialect plugs in.** A dialect is a folder (`OpenAI/`, ...) with one type that conforms to `Dialect`; it is named once, in
/// `Server.dialects`. It translates and decides nothing:
/// - `addRoutes(to:)` adds its routes behind the gate, so `context.client` says whose the request is and `request.body` has been read, within
///   the limits, into one buffer; `addOpenRoutes(to:)` adds what needs no key.
/// - A handler makes a `Question` of the request and gives it to `Service.ask(_:_:)`, which answers once the request has left the queue:
///   its `Answer` has the route, which `headers(of:)` turns into response headers, and the stream of pieces. A client that leaves
///   cancels what it asked.
/// - Everything that goes wrong is a `Refusal`, which handlers throw; `response(to:_:)` writes it as the dialect's clients expect. The one whose
///   `owns(_:)` takes the path also writes refusals of the gate and unknown paths.
///
/// **How a scheme of authentication plugs in.** A type that conforms to `AuthenticationScheme`, named once in `Server.schemes`. It sees the
/// method, the path and query as sent, all headers and, where it asks for them, the body's bytes.
public final class Server: Sendable {
    private let service: Service
    private let settings: ServerSettings
    private let keys: KeyRing?
    private let logger: Logger
    private let group = Mutex<ServiceGroup?>(nil)

    /// - Parameter keys: who may ask; nil lets everybody in, on loopback only.
    /// - Throws: `ServerError` when the settings are unsafe or a file cannot be used.
    public init(model: ServedModel, settings: ServerSettings, keys: KeyRing? = nil, logger: Logger) throws(ServerError) {
        if keys == nil, !settings.isLoopback {
            throw ServerError("host \(settings.host) is not loopback and there are no keys, so anybody could ask; give --keys FILE or --host 127.0.0.1")
        }
        self.settings = settings
        self.keys = keys
        self.logger = logger
        service = Service(model: model, settings: settings)
    }

    private var dialects: [any Dialect] {
        [OpenAIDialect(service: service), BedrockDialect(service: service), Page(service: service)]
    }

    private var schemes: [any AuthenticationScheme] {
        [BearerScheme(), SignatureScheme()]
    }

    /// Serves until SIGTERM or SIGINT, then refuses what is new, finishes what runs, and returns. Once.
    /// - Parameter running: called with the port once it listens.
    public func run(running: @escaping @Sendable (Int) -> Void = { _ in }) async throws {
        var configuration = ApplicationConfiguration(
            address: .hostname(settings.host, port: settings.port), serverName: "baton",
            availableConnectionsDelegate: MaximumAvailableConnections(settings.maxConnections, logger: logger))
        configuration.backlog = 1024
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .warning)
        let application = Application(
            responder: router().buildResponder(), server: try transport(), configuration: configuration,
            onServerRunning: { channel in running(channel.localAddress?.port ?? 0) }, logger: quiet)
        // Services are shut down last first: the drain ends before the listener does.
        var group = ServiceGroupConfiguration(
            services: [application, Drain(service: service, logger: logger)], gracefulShutdownSignals: [.sigterm, .sigint], logger: quiet)
        group.maximumGracefulShutdownDuration = settings.drainLimit + .seconds(15)
        let services = ServiceGroup(configuration: group)
        self.group.withLock { $0 = services }
        try await services.run()
    }

    /// Does as SIGTERM does; returns at once, and `run` returns when it is done. Any thread.
    public func stop() async { await group.withLock { $0 }?.triggerGracefulShutdown() }

    private func router() -> Routes {
        let dialects = self.dialects
        let router = Routes(context: ServerContext.self)
        router.add(middleware: Witness(service: service, logger: logger))
        router.add(middleware: Refuser(dialects: dialects))
        Probes(service: service).addRoutes(to: router)
        for dialect in dialects { dialect.addOpenRoutes(to: router) }
        router.add(middleware: Gate(service: service, keys: keys, schemes: schemes))
        Probes(service: service).addGuardedRoutes(to: router)
        for dialect in dialects { dialect.addRoutes(to: router) }
        return router
    }

    private func transport() throws -> HTTPServerBuilder {
        let timeouts = settings.timeouts
        var http = HTTP1Channel.Configuration(additionalChannelHandlers: [ConnectionWatch(timeouts: timeouts)])
        http.httpDecoder = .init(
            maxHeaderFieldSize: settings.maxHeaderBytes, maxHeaderListSize: settings.maxHeaderBytes * 2, maxHeaderFieldCount: settings.maxHeaders)
        guard let files = settings.tls else { return .http1(configuration: http) }
        do {
            let chain = try NIOSSLCertificate.fromPEMFile(files.certificate).map { NIOSSLCertificateSource.certificate($0) }
            let key = try NIOSSLPrivateKey(file: files.key, format: .pem)
            var tls = TLSConfiguration.makeServerConfiguration(certificateChain: chain, privateKey: .privateKey(key))
            tls.minimumTLSVersion = .tlsv12
            // Whether they go together is known now and not at the first connection.
            _ = try NIOSSLContext(configuration: tls)
            return try .tls(.http1(configuration: http), tlsConfiguration: tls)
        } catch {
            throw ServerError("TLS cannot be set up from \(files.certificate) and \(files.key): \(error); give a PEM chain and the PEM key that goes with its first certificate")
        }
    }
}

/// What keeps a server from starting, in one line.
public struct ServerError: Error, Sendable, CustomStringConvertible {
    public let description: String
    public init(_ words: String) { description = words.split(whereSeparator: \.isNewline).joined(separator: " ") }
}
