import Driver
import Model
public import Tokens

/// Answers many requests at once over one placement, or over several that share devices: prefill of new requests beside decode of
/// running ones, KV in blocks, prefixes used again. Each stage has a thread; any thread may ask.
///
/// What runs when is `Schedule`'s, which is a value; this does what it says.
public final class ServingEngine: Generating {
    public struct Settings: Sendable {
        public var handoff = HandoffSettings()
        /// `recomputes` in it is taken from `handoff`.
        public var schedule = Schedule.Settings()
        public var trace: Trace?
        /// Hears what is measured, on the stages' threads; must be quick.
        public var observe: (@Sendable (ServingObservation) -> Void)?
        /// For tests, as in `Engine`.
        var tamper: (@Sendable (Int, UnsafeMutableRawBufferPointer) -> Void)?
        public init() {}
    }

    /// At least one; all serve one model.
    public let placements: [Placement]
    public let tokenizer: Tokenizer
    public let settings: Settings
    private let filters: ForeignHooks
    private let core: ServingCore
    private let threads: [WorkThread]
    private let vocabulary: Int
    /// Tokens of one request at most, prompt and completion.
    public let context: Int

    /// Opens every device of the placement, loads weights, compiles, starts a thread for each stage. Blocks.
    /// The placement says how many requests decode in one batch (`sequences:`) and how many KV tokens there are (`kvTokens:`).
    public convenience init(
        opening placement: Placement, tokenizer: Tokenizer, settings: Settings = Settings(), filters: ForeignHooks = ForeignHooks(),
        progress: (@Sendable (String, Double) -> Void)? = nil
    ) throws(EngineError) {
        try self.init(opening: [placement], tokenizer: tokenizer, settings: settings, filters: filters, progress: progress)
    }

    /// Several placements of one model: a stage on the same devices is opened once, so that several prefill devices may feed one that
    /// decodes, and the reverse.
    public init(
        opening placements: [Placement], tokenizer: Tokenizer, settings: Settings = Settings(), filters: ForeignHooks = ForeignHooks(),
        progress: (@Sendable (String, Double) -> Void)? = nil
    ) throws(EngineError) {
        guard let first = placements.first else { throw EngineError(.usage, "no placement was given; give at least one") }
        // Weights are packed by all processors: not on a thread that answers requests later.
        let fleet = try WorkThread.run { () throws(EngineError) in try Fleet(opening: placements, progress: progress) }
        var rules = settings.schedule
        rules.recomputes = settings.handoff.recomputes
        let core = ServingCore(
            Schedule(stages: fleet.scheduled, pairs: fleet.pairs, ledgers: fleet.ledgers, settings: rules), observe: settings.observe)
        var threads: [WorkThread] = []
        for (index, stage) in fleet.stages.enumerated() {
            let runner = StageRunner(
                index, of: fleet.stages, ways: fleet.ways(from: index), core: core, settings: settings.handoff, trace: settings.trace, tamper: settings.tamper)
            let thread = WorkThread()
            guard thread.start({ runner.loop() }) else {
                core.stop()
                throw EngineError(.driver, "no thread could be started for stage \(stage.name); free some and try again")
            }
            threads.append(thread)
        }
        self.placements = placements
        self.tokenizer = tokenizer
        self.settings = settings
        self.filters = filters
        self.core = core
        self.threads = threads
        vocabulary = first.model.hyperparameters.vocabulary
        context = placements.map(\.context).min() ?? first.context
    }

    public func generate(_ request: GenerationRequest) -> AsyncThrowingStream<Generation, any Error> {
        AsyncThrowingStream { stream in
            let maxTokens: Int
            do throws(EngineError) { maxTokens = try admit(request.request) } catch {
                core.reject()
                return stream.finish(throwing: error)
            }
            let now = WallClock.now
            core.submit { id in
                // A task that is cancelled is locked while this runs: nothing of the core's is waited for here.
                stream.onTermination = { [core] in if case .cancelled = $0 { Task { core.cancel(id) } } }
                var arrival = Schedule.Arrival(id: id, prompt: request.request.prompt, maxTokens: maxTokens)
                arrival.client = request.client
                arrival.priority = request.priority
                arrival.mode = request.mode
                arrival.requiresDisaggregated = request.requiresDisaggregated
                let session = Session(id, request, maxTokens: maxTokens, tokenizer: tokenizer, filters: filters, stream: stream, now: now)
                return (session, arrival)
            }
        }
    }

    /// What can be refused before it waits. Gives the tokens there is room for.
    private func admit(_ request: Request) throws(EngineError) -> Int {
        let count = request.prompt.count
        guard count > 0 else { throw EngineError(.usage, "the prompt has no tokens; give it some text") }
        guard count <= context else {
            throw EngineError(.usage, "the prompt has \(count) tokens and the context holds \(context); shorten it or raise `context`")
        }
        if let odd = request.prompt.first(where: { $0 < 0 || $0 >= vocabulary }) {
            throw EngineError(.usage, "token id \(odd) is outside the model's vocabulary of \(vocabulary)")
        }
        return max(0, min(request.maxTokens, context - count))
    }

    /// As of now. Any thread.
    public var metrics: ServingMetrics { core.metrics }

    /// Refuses what is new, finishes what waits and runs, and returns then. What is left after `limit` is ended with an error.
    public func drain(limit: Duration? = nil) async {
        core.handle(.drain)
        let timer = limit.map { limit in
            Task { [core] in
                guard (try? await Task.sleep(for: limit)) != nil else { return }
                core.stopAll(EngineError(.busy, "the server is going down and this request took too long; ask another one"))
            }
        }
        await core.idle()
        timer?.cancel()
    }

    /// Ends what is left with an error and waits for the stages' threads. Blocks; once.
    public func close() {
        core.handle(.drain)
        core.stopAll(EngineError(.busy, "the server has closed; ask another one"))
        core.stop()
        for thread in threads { thread.join() }
    }

    deinit {
        core.handle(.drain)
        core.stopAll(EngineError(.busy, "the server has closed; ask another one"))
        core.stop()
        for thread in threads { thread.detach() }
    }
}
