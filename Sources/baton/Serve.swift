import ArgumentParser
import Engine
import Glibc
import Logging
import Model
import Pipeline
import Server
import Tokens

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Answers requests over HTTP, many at a time.",
        discussion: """
            EXAMPLES
              baton serve Examples/disaggregated.yaml
              baton serve Examples/aggregated.yaml --port 0 --max-sequences 8 --kv-tokens 16384
              baton keys add keys.json alice --requests-per-minute 60 && baton serve Examples/disaggregated.yaml --keys keys.json
              baton serve Examples/disaggregated.yaml --host 0.0.0.0 --keys keys.json --tls-cert chain.pem --tls-key key.pem

              curl http://127.0.0.1:8080/v1/chat/completions -H 'content-type: application/json' \\
                -d '{"model": "smollm2-135m-instruct", "messages": [{"role": "user", "content": "What is gravity?"}], "stream": true}'

            Without --keys it answers loopback only, to anybody on this machine. The line with its address is on standard output; the access log, one JSON
            object a line, on standard error. SIGTERM finishes what runs and refuses what is new.

            The header x-baton-route-mode of a request (auto, disaggregated, aggregated, require_disaggregated) overrides the manifest's routing;
            x-baton-route of the answer says which way it went and why.
            """)

    @Argument(help: "The manifest, YAML or JSON.", completion: .file(extensions: ["yaml", "yml", "json"])) var manifest: String
    @Option(help: "The address to listen on.") var host = "127.0.0.1"
    @Option(help: "The port; 0 for any that is free.") var port = 8080
    @Option(help: "A file of API keys; see `baton keys`.", completion: .file(extensions: ["json"])) var keys: String?
    @Option(help: "A PEM certificate chain, for TLS.", completion: .file()) var tlsCert: String?
    @Option(help: "The certificate's PEM key.", completion: .file()) var tlsKey: String?
    @Option(help: "What the model is called in requests; the manifest's name for it by default.") var modelID: String?
    @OptionGroup(title: "Load") var load: Load
    @Flag(help: "No access log.") var quiet = false

    /// How much is taken on at once.
    struct Load: ParsableArguments {
        @Option(help: "Requests that decode in one batch at most.") var maxSequences = 16
        @Option(help: "Tokens of KV that each stage, or each replica of it, has room for; by default whole contexts of all sequences, at most 32768.") var kvTokens: Int?
        @Option(help: "Requests that wait at most; one more is refused.") var maxQueued = 256
        @Flag(help: "Admit on the prompt's need alone, and preempt when KV runs out.") var overcommit = false
        @Option(help: "Bytes of a request's body at most.") var maxBodyBytes = 4 << 20
        @Option(help: "Connections at most.") var maxConnections = 1024
        @Option(help: "Tokens made at most where a request does not say.") var defaultMaxTokens = 1024
        @Option(help: "Seconds that what runs may go on after SIGTERM.") var drainSeconds = 60
    }

    func validate() throws {
        guard (0...65535).contains(port) else { throw ValidationError("--port is \(port); give 0 to 65535") }
        guard (tlsCert == nil) == (tlsKey == nil) else { throw ValidationError("give both --tls-cert and --tls-key, or neither") }
        let counts = [
            ("--max-sequences", load.maxSequences), ("--kv-tokens", load.kvTokens ?? 1), ("--max-body-bytes", load.maxBodyBytes),
            ("--max-connections", load.maxConnections), ("--default-max-tokens", load.defaultMaxTokens),
        ]
        for (name, value) in counts where value < 1 { throw ValidationError("\(name) is \(value); give at least 1") }
        for (name, value) in [("--max-queued", load.maxQueued), ("--drain-seconds", load.drainSeconds)] where value < 0 {
            throw ValidationError("\(name) is \(value); give at least 0")
        }
    }

    func run() async throws {
        do {
            signal(SIGPIPE, SIG_IGN)
            let session = try Session(manifest: manifest, givesWay: true)
            let ring = try keys.map { try Self.ring($0) }
            let timeline = RequestTimeline()
            let engine = try open(session, timeline)
            var served = try model(session, engine)
            served.plan = PipelinePlan(engine.placements, routing: session.routing)
            served.timeline = timeline
            let server = try Server(model: served, settings: settings, keys: ring, logger: logger)
            try await server.run { port in Terminal.line("baton: \(name(session)) at \(tlsCert == nil ? "http" : "https")://\(host):\(port)") }
            engine.close()
        } catch { throw Failure.of(error) }
    }

    /// A file with secrets in the clear must be its owner's alone.
    private static func ring(_ path: String) throws -> KeyRing {
        let ring = try KeyRing(json: Files.read(path), file: path)
        var status = stat()
        if ring.holdsSecrets, stat(path, &status) != 0 || status.st_mode & 0o077 != 0 {
            throw Failure(code: 2, "\(path): holds secret keys and others than its owner may read or write it; run chmod 600 \(path)")
        }
        return ring
    }

    private var logger: Logger {
        var logger = Logger(label: "baton") { JSONLog(label: $0) { Terminal.send($0, to: 2) } }
        logger.logLevel = quiet ? .warning : .info
        return logger
    }

    private func name(_ session: Session) -> String {
        if let modelID { return modelID }
        let text = session.graph.manifest.model.value.text
        let last = text.split(separator: "/").last.map(String.init) ?? text
        return last.hasSuffix(".gguf") ? String(last.dropLast(5)) : last
    }

    private var settings: ServerSettings {
        var settings = ServerSettings()
        settings.host = host
        settings.port = port
        if let tlsCert, let tlsKey { settings.tls = .init(certificate: tlsCert, key: tlsKey) }
        settings.maxBodyBytes = load.maxBodyBytes
        settings.maxConnections = load.maxConnections
        settings.defaultMaxTokens = load.defaultMaxTokens
        settings.drainLimit = .seconds(load.drainSeconds)
        return settings
    }

    private func open(_ session: Session, _ timeline: RequestTimeline) throws -> ServingEngine {
        let bar = ProgressBar()
        defer { bar.clear() }
        let whole = session.context * load.maxSequences
        let placements = try session.placements(sequences: load.maxSequences, kvTokens: load.kvTokens ?? min(whole, 32_768))
        var settings = ServingEngine.Settings()
        settings.handoff = session.handoff
        settings.schedule.mode = session.routing
        settings.observe = timeline.hear
        settings.schedule.maxQueued = load.maxQueued
        settings.schedule.overcommits = load.overcommit
        return try ServingEngine(
            opening: placements.all, tokenizer: session.model.tokenizer(), settings: settings, filters: session.hooks(),
            progress: { label, fraction in bar.report("readying \(label)", fraction) })
    }

    private func model(_ session: Session, _ engine: ServingEngine) throws -> ServedModel {
        let tokenizer = engine.tokenizer
        let standard = session.graph.manifest.sampling
        var sampling = ServedModel.Sampling()
        sampling.temperature = standard.temperature?.value
        sampling.topK = standard.topK?.value
        sampling.topP = standard.topP?.value
        sampling.minP = standard.minP?.value
        sampling.repetitionPenalty = standard.repetitionPenalty?.value
        sampling.seed = standard.seed?.value
        return ServedModel(
            id: name(session), created: Int(time(nil)), tokenizer: tokenizer, template: try? session.model.chatTemplate(tokenizer),
            context: engine.context, sampling: sampling, hooks: try session.hooks(), engine: engine)
    }
}
