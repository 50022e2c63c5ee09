internal import Engine
internal import Tokens

/// What the page shows, as of one moment. Milliseconds are wall unless they are inside of `modelled`; the two are never in one object.
struct PageStatus: Encodable {
    struct KV: Encodable {
        var stage, device: String
        var block_tokens, total, used, cached: Int
    }
    struct Busy: Encodable {
        var device: String
        var batches: Int
        var wall_ms: Double
        var modelled_ms: Double?
    }
    struct Counters: Encodable {
        var completed, failed, cancelled, refused: Int
        var prefill_tokens, decode_tokens, prompt_tokens, prefix_hit_tokens, completion_tokens: Int
        var handoffs, handoffs_aborted, handoff_bytes: Int
        var disaggregated, aggregated, preempted, recomputed: Int
    }
    var model: String
    var context: Int
    var draining: Bool
    var uptime_ms: Double
    var plan: PipelinePlan?
    var queued, running: Int
    var kv: [KV]
    var busy: [Busy]
    var counters: Counters
    /// On the clock of the requests' `arrived`.
    var now_ms: Double
    var requests: [PageRequest]

    init(_ service: Service) {
        let (model, metrics) = (service.model, service.model.engine.metrics)
        self.model = model.id
        context = model.context
        draining = service.isDraining
        uptime_ms = Double(metrics.uptime) / 1e6
        plan = model.plan
        (queued, running) = (metrics.queued, metrics.running)
        kv = metrics.kv.map { KV(stage: $0.stage, device: $0.device, block_tokens: $0.blockTokens, total: $0.total, used: $0.used, cached: $0.cached) }
        busy = metrics.busy.map { busy in
            Busy(
                device: busy.device, batches: busy.batches, wall_ms: Double(busy.wallNanoseconds) / 1e6,
                modelled_ms: busy.modelledNanoseconds.map { Double($0) / 1e6 })
        }
        counters = Counters(metrics)
        now_ms = model.timeline.map { $0.now.milliseconds } ?? uptime_ms
        requests = model.timeline?.latest.map(PageRequest.init) ?? []
    }
}

extension PageStatus.Counters {
    init(_ metrics: ServingMetrics) {
        (completed, failed, cancelled, refused) = (metrics.completed, metrics.failed, metrics.cancelled, metrics.refused + metrics.rejected)
        (prefill_tokens, decode_tokens) = (metrics.prefillTokens, metrics.decodeTokens)
        (prompt_tokens, prefix_hit_tokens, completion_tokens) = (metrics.promptTokens, metrics.prefixHitTokens, metrics.completionTokens)
        (handoffs, handoffs_aborted, handoff_bytes) = (metrics.handoffs, metrics.handoffsAborted, metrics.handoffBytes)
        (disaggregated, aggregated) = (metrics.routedDisaggregated, metrics.routedAggregated)
        (preempted, recomputed) = (metrics.preempted, metrics.recomputed)
    }
}

/// One of the latest requests.
struct PageRequest: Encodable {
    /// Since arrival; what has not come yet is nil.
    struct Wall: Encodable {
        var queued_ms, prefill_end_ms, first_ms, total_ms: Double?
        /// Of the handoff, during prefill.
        var handoff_hidden_ms: Double?
    }
    struct Modelled: Encodable {
        var prefill_ms, handoff_ms, decode_ms: Double
    }
    var id: UInt64
    var arrived_ms: Double
    /// "waiting", "prefill", "decode", "done" or "failed".
    var state: String
    var route, reason, finish: String?
    var prompt_tokens: Int
    var cached_tokens, completion_tokens: Int?
    var wall: Wall
    var modelled: Modelled?

    init(_ entry: RequestTimeline.Entry) {
        (id, prompt_tokens, arrived_ms) = (entry.id, entry.promptTokens, entry.arrived.milliseconds)
        state = entry.over != nil ? (entry.ended == nil ? "failed" : "done") : entry.first != nil ? "decode" : entry.admitted != nil ? "prefill" : "waiting"
        (route, reason, cached_tokens) = (entry.began?.route, entry.began?.routeReason, entry.began?.cachedTokens)
        wall = Wall()
        wall.queued_ms = entry.admitted.map { ($0 - entry.arrived).milliseconds }
        wall.first_ms = entry.first.map { ($0 - entry.arrived).milliseconds }
        wall.prefill_end_ms = entry.prefillEnd.map(Self.milliseconds)
        wall.total_ms = entry.over.map { ($0 - entry.arrived).milliseconds }
        guard let ended = entry.ended else { return }
        (finish, completion_tokens) = (ended.reason.rawValue, ended.completionTokens)
        wall = Wall(
            queued_ms: Self.milliseconds(ended.queued), prefill_end_ms: Self.milliseconds(ended.ttftPrefill), first_ms: Self.milliseconds(ended.ttftUser),
            total_ms: Self.milliseconds(ended.total), handoff_hidden_ms: ended.handoff.map { Self.milliseconds($0.hiddenNanoseconds) })
        modelled = Self.modelled(ended)
    }

    private static func milliseconds(_ nanoseconds: UInt64) -> Double { Double(nanoseconds) / 1e6 }

    private static func modelled(_ ended: Generation.Ended) -> Modelled? {
        func sum(_ stage: String) -> UInt64? {
            let spent = ended.stages.filter { $0.stage == stage }.compactMap(\.modelledNanoseconds)
            return spent.isEmpty ? nil : spent.reduce(0, +)
        }
        let (prefill, decode) = (sum("prefill"), sum("decode"))
        guard prefill != nil || decode != nil else { return nil }
        return Modelled(
            prefill_ms: milliseconds(prefill ?? 0), handoff_ms: milliseconds(ended.handoff?.modelledExposedNanoseconds ?? 0), decode_ms: milliseconds(decode ?? 0))
    }
}

extension Duration {
    var milliseconds: Double { Double(components.seconds) * 1e3 + Double(components.attoseconds) / 1e15 }
}
