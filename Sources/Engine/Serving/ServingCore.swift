/// What the threads of a serving engine share: the schedule, the sessions, what each stage is to do next. All of it inside one lock.
final class ServingCore: @unchecked Sendable {
    enum Command {
        case run(Schedule.BatchPlan)
        case close(Schedule.ID)
        case reopen
        /// Nothing: the time is over that was to be waited.
        case rest
    }

    private let bell = Bell()
    private var schedule: Schedule
    private var sessions: [Schedule.ID: Session] = [:]
    /// Admitted, and their readers have not heard of it.
    private var unheard: [Schedule.ID: Session] = [:]
    private var commands: [[Command]]
    private var isStopping = false
    /// Threads of stages that have not left.
    private var threads: Int
    private var nextID: Schedule.ID = 0
    private var counted = ServingMetrics()
    private var waiters: [CheckedContinuation<Void, Never>] = []
    private let opened = WallClock.now
    /// The stages over each ledger, and their devices.
    private let ledgerNames: [(stage: String, device: String)]
    let observe: (@Sendable (ServingObservation) -> Void)?

    init(_ schedule: Schedule, observe: (@Sendable (ServingObservation) -> Void)?) {
        self.schedule = schedule
        self.observe = observe
        commands = schedule.stages.map { _ in [] }
        threads = schedule.stages.count
        ledgerNames = schedule.ledgers.indices.map { index in
            let over = schedule.stages.filter { $0.ledger == index }
            return (over.map(\.name).joined(separator: "+"), over.map(\.devices).joined(separator: "+"))
        }
    }

    // MARK: from any thread

    /// Queues a request. `make` gets its number.
    func submit(_ make: (Schedule.ID) -> (Session, Schedule.Arrival)) {
        let endings = bell.locked { () -> [() -> Void] in
            nextID += 1
            let (session, arrival) = make(nextID)
            sessions[session.id] = session
            counted.arrived += 1
            let heard = observe.map { observe in { observe(.arrived(arrival.id, promptTokens: arrival.prompt.count)) } }
            return (heard.map { [$0] } ?? []) + perform(.arrived(arrival))
        }
        for ending in endings { ending() }
    }

    func reject() { bell.locked { counted.rejected += 1 } }

    func cancel(_ id: Schedule.ID) {
        let endings = bell.locked { () -> [() -> Void] in
            guard sessions[id] != nil else { return [] }
            counted.cancelled += 1
            if let phase = schedule.phase(of: id) { counted.cancelledIn[phase, default: 0] += 1 }
            return perform(.cancelled(id))
        }
        for ending in endings { ending() }
    }

    func handle(_ event: Schedule.Event) {
        for ending in bell.locked({ perform(event) }) { ending() }
    }

    /// Ends everything that waits or runs with `error`.
    func stopAll(_ error: EngineError) {
        let ids = bell.locked { Array(sessions.keys) }
        for id in ids { handle(.stopped(id, error)) }
    }

    /// Returns once nothing waits or runs.
    func idle() async {
        await withCheckedContinuation { continuation in
            let isIdle = bell.locked { () -> Bool in
                guard !schedule.isIdle else { return true }
                waiters.append(continuation)
                return false
            }
            if isIdle { continuation.resume() }
        }
    }

    func stop() {
        bell.locked {
            isStopping = true
            bell.ring()
        }
    }

    var metrics: ServingMetrics { bell.locked { snapshot() } }

    // MARK: from the stages' threads

    /// What the stage is to do next; blocks until there is something, up to `timeout` nanoseconds; nil when the engine closes.
    func next(_ stage: Int, within timeout: UInt64? = nil) -> Command? {
        let (command, begun) = bell.locked { () -> (Command?, [Session]) in
            while commands[stage].isEmpty {
                if isStopping { return (nil, []) }
                guard bell.wait(upTo: timeout) else { return (.rest, []) }
            }
            let command = commands[stage].removeFirst()
            guard case .run(let plan) = command, !unheard.isEmpty else { return (command, []) }
            return (command, plan.items.compactMap { unheard.removeValue(forKey: $0.id) })
        }
        for session in begun { session.announce() }
        return command
    }

    /// The thread of a stage ends. Gives whether it was the last.
    func leave() -> Bool {
        bell.locked {
            threads -= 1
            return threads == 0
        }
    }

    func sessions(of plan: Schedule.BatchPlan) -> [Session?] {
        bell.locked { plan.items.map { sessions[$0.id] } }
    }

    func session(_ id: Schedule.ID) -> Session? { bell.locked { sessions[id] } }

    /// A batch ran: what its devices spent, and what it computed.
    func count(_ plan: Schedule.BatchPlan, _ spent: [ServingMetrics.Busy], stage: String, wall: UInt64) {
        bell.locked {
            for item in plan.items {
                if item.isStep { counted.decodeTokens += 1 } else { counted.prefillTokens += item.tokens.count }
            }
            for one in spent {
                if let index = counted.busy.firstIndex(where: { $0.device == one.device }) {
                    counted.busy[index].wallNanoseconds += one.wallNanoseconds
                    counted.busy[index].batches += one.batches
                    if let more = one.modelledNanoseconds { counted.busy[index].modelledNanoseconds = (counted.busy[index].modelledNanoseconds ?? 0) + more }
                } else {
                    counted.busy.append(one)
                }
            }
        }
        observe?(.batch(stage: stage, tokens: plan.tokenCount, sequences: plan.items.count, nanoseconds: wall))
    }

    func count(_ figures: HandoffFigures, adopted: Bool) {
        bell.locked {
            if adopted { counted.handoffs += 1 } else { counted.handoffsAborted += 1 }
            counted.handoffBytes += figures.bytes
            counted.handoffExposed += figures.exposed
            counted.handoffHidden += figures.hidden
            guard let modelled = figures.modelled else { return }
            counted.handoffModelledExposed = (counted.handoffModelledExposed ?? 0) + modelled.exposed
            counted.handoffModelledHidden = (counted.handoffModelledHidden ?? 0) + modelled.hidden
        }
    }

    /// Gives the reader of `session` what it has, and keeps the times.
    func deliver(_ session: Session) {
        let now = WallClock.now
        guard let (first, nanoseconds) = session.deliver(now: now) else { return }
        bell.locked {
            guard first else { return counted.interToken.add(nanoseconds: nanoseconds) }
            counted.ttftUser.add(nanoseconds: nanoseconds)
            if let prefill = session.ttftPrefill { counted.ttftPrefill.add(nanoseconds: prefill) }
        }
        guard let observe else { return }
        observe(first ? .ttftUser(nanoseconds) : .interToken(nanoseconds))
        if first { observe(.firstToken(session.id, prefill: session.ttftPrefill ?? nanoseconds)) }
        if first, let prefill = session.ttftPrefill { observe(.ttftPrefill(prefill)) }
    }

    // MARK: inside the lock

    /// One step of the schedule. Gives what is to be done outside of the lock. Nothing in here touches a stream: that wakes its reader, whose
    /// task may be locked by one that cancels it and waits for this lock.
    private func perform(_ event: Schedule.Event) -> [() -> Void] {
        let now = WallClock.now
        var endings: [() -> Void] = []
        var rings = false
        for action in schedule.step(event, now: now) {
            switch action {
            case .admitted(let id, let admission):
                if let session = sessions[id], session.began(admission, now: now) { unheard[id] = session }
                if let observe {
                    let began = Generation.Began(route: admission.route.rawValue, routeReason: admission.reason, cachedTokens: admission.cachedTokens)
                    endings.append { observe(.admitted(id, began)) }
                }
            case .run(let plan):
                commands[plan.stage].append(.run(plan))
                rings = true
            case .closeHandoff(let id, let stage):
                commands[stage].append(.close(id))
                rings = true
            case .reopen(let stage):
                commands[stage].append(.reopen)
                rings = true
            case .preempted: counted.preempted += 1
            case .recomputed(let id, let error):
                sessions[id]?.takeBack(error)
                counted.recomputed += 1
            case .ended(let id, let error):
                unheard[id] = nil
                if let session = sessions.removeValue(forKey: id) { endings.append(end(session, error, now)) }
            }
        }
        if rings { bell.ring() }
        if schedule.isIdle, !waiters.isEmpty {
            let all = waiters
            waiters = []
            endings.append { for waiter in all { waiter.resume() } }
        }
        return endings
    }

    private func end(_ session: Session, _ error: EngineError?, _ now: UInt64) -> () -> Void {
        if let error {
            if error.kind.isRefusal { counted.refused += 1 } else { counted.failed += 1 }
            return { [observe] in
                observe?(.ended(session.id, nil))
                session.stream.finish(throwing: error)
            }
        }
        guard session.finish != nil else {
            return { [observe] in
                observe?(.ended(session.id, nil))
                session.stream.finish()
            }
        }
        let ended = session.ended(now: now)
        counted.completed += 1
        counted.promptTokens += ended.promptTokens
        counted.completionTokens += ended.completionTokens
        counted.queueTime.add(nanoseconds: ended.queued)
        counted.total.add(nanoseconds: ended.total)
        return { [observe] in
            observe?(.ended(session.id, ended))
            _ = session.deliver(now: now)
            session.stream.yield(.ended(ended))
            session.stream.finish()
        }
    }

    private func snapshot() -> ServingMetrics {
        var metrics = counted
        metrics.queued = schedule.queuedCount
        metrics.running = schedule.runningCount
        metrics.phases = schedule.phases
        metrics.isDraining = schedule.isDraining
        metrics.retryAfter = schedule.retryAfter
        metrics.prefixHitTokens = schedule.counts.cachedTokens
        metrics.routed = schedule.routed
        metrics.routedDisaggregated = schedule.counts.disaggregated.values.reduce(0, +)
        metrics.routedAggregated = schedule.counts.aggregated.values.reduce(0, +)
        metrics.uptime = WallClock.now &- opened
        metrics.kv = zip(ledgerNames, schedule.ledgers).map { names, ledger in
            .init(
                stage: names.stage, device: names.device, blockTokens: ledger.blockTokens, total: ledger.blockCount, used: ledger.heldCount, cached: ledger.keptCount,
                quarantined: ledger.quarantinedCount)
        }
        return metrics
    }
}
