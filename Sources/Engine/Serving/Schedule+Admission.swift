extension Schedule {
    /// A way for one request, with all it needs to be taken.
    private struct Candidate {
        var pair: Int
        var route: Route
        /// Blocks found on the prefill side, where it is another pool, and on the decode side; fresh ones beside them.
        var here: BlockLedger.Match?
        var there: BlockLedger.Match
        var freshHere = 0
        var freshThere = 0
        var hasRoom = false
        /// It can never have room.
        var neverFits = false
        var way: Router.Way
    }

    private enum Verdict { case admitted, blocked, ended }

    mutating func arrive(_ arrival: Arrival) {
        let sequence = Sequence(arrival: arrival, ordinal: nextOrdinal, tokens: arrival.prompt)
        guard sequences[arrival.id] == nil else { return }
        if isDraining { return refuse(arrival.id, EngineError(.busy, "the server is going down and takes no more requests; ask another one")) }
        nextOrdinal += 1
        sequences[arrival.id] = sequence
        queue.append(FairQueue.Entry(id: arrival.id, tokens: sequence.need), to: sequence.flow)
        queuedByClient[arrival.client, default: 0] += 1
        admitAll()
        guard sequences[arrival.id]?.phase == .waiting else { return }
        let mine = queuedByClient[arrival.client] ?? 0
        if queue.count > settings.maxQueued {
            turnAway(arrival.id, "the queue holds \(settings.maxQueued) requests and is full; ask again later")
        } else if mine > settings.maxQueuedPerClient {
            turnAway(arrival.id, "this client has \(settings.maxQueuedPerClient) requests waiting and may have no more; wait for answers")
        }
    }

    private mutating func turnAway(_ id: ID, _ words: String) {
        var error = EngineError(.busy, words)
        error.retryAfter = retryAfter
        counts.refused += 1
        conclude(id, .failed(error))
    }

    private mutating func refuse(_ id: ID, _ refusal: EngineError) {
        var error = refusal
        error.retryAfter = retryAfter
        counts.refused += 1
        actions.append(.ended(id, error))
    }

    /// Seconds in which half of what waits should have gone, as requests ended lately.
    public var retryAfter: Double { min(60, max(0.1, interval * Double(queuedCount + 1) / 2e9)) }

    /// Admits while there is room: first those that ran before, then in fair order. The one whose turn it is is not passed by.
    mutating func admitAll() {
        while let id = resumed.first {
            if admit(id) == .blocked { return }
        }
        while let (_, entry) = queue.next(where: { runningByClient[$0.client, default: 0] < settings.maxRunningPerClient }) {
            if admit(entry.id) == .blocked { return }
        }
    }

    private mutating func admit(_ id: ID) -> Verdict {
        guard let sequence = sequences[id] else { return .blocked }
        let apart = best(sequence, .disaggregated)
        let together = best(sequence, .aggregated)
        var question = Router.Question(
            mode: sequence.forced == .aggregated ? .aggregated : sequence.arrival.mode ?? settings.mode,
            requiresDisaggregated: sequence.arrival.requiresDisaggregated, disaggregated: apart?.way, aggregated: together?.way,
            last: apart.flatMap { lastRoutes[$0.pair] })
        if sequence.ranBefore { question.mode = sequence.route == .aggregated || sequence.forced != nil ? .aggregated : .disaggregated }
        if apart == nil, let seconds = restLeft {
            question.lacking = "the prefill device failed a moment ago"
            question.retryAfter = seconds
        }
        do throws(EngineError) {
            let answer = try Router.decide(question)
            guard let chosen = answer.route == .disaggregated ? apart : together else { return .blocked }
            if chosen.neverFits { throw tooLarge(sequence, chosen) }
            guard chosen.hasRoom else { return .blocked }
            if let apart, question.mode == .auto, !question.requiresDisaggregated, !sequence.ranBefore { lastRoutes[apart.pair] = answer.route }
            take(chosen, for: id, answer.reason)
            return .admitted
        } catch {
            conclude(id, .failed(error))
            return .ended
        }
    }

    /// Seconds until the first of the prefill devices that failed is tried again; nil where there is no other device to prefill.
    private var restLeft: Double? {
        let ends = pairs.filter { $0.prefill != $0.decode }.map { failedUntil[$0.prefill] }
        return ends.min().map { $0 > now ? Double($0 - now) / 1e9 : 0 }
    }

    private func tooLarge(_ sequence: Sequence, _ candidate: Candidate) -> EngineError {
        let ledger = ledgers[stages[pairs[candidate.pair].decode].ledger]
        return EngineError(
            .usage, "never_fits: \(sequence.promptCount) prompt and \(sequence.arrival.maxTokens) completion tokens need \(ledger.blocks(for: sequence.need)) KV blocks of \(ledger.blockTokens) tokens, there are \(ledger.usableCount); shorten the request")
    }

    /// Of the ways of one kind that are open to it; decode devices that rest or where it failed are, where there are no others.
    private func best(_ sequence: Sequence, _ route: Route) -> Candidate? {
        let spares = decodeStages.contains { isOpen($0, to: sequence) }
        let open = (route == .aggregated ? firstPairs : Array(pairs.indices)).filter { index in
            let pair = pairs[index]
            if spares, !isOpen(pair.decode, to: sequence) { return false }
            return route == .aggregated || pair.prefill != pair.decode && isOpen(pair.prefill, to: sequence)
        }
        return choice(open.map { candidate(sequence, $0, route) })
    }

    /// Of several the ones that can ever hold the request, then those with room now, then those at most a fifth slower than the quickest;
    /// of these the one with the fewest requests, then the quickest.
    private func choice(_ all: [Candidate]) -> Candidate? {
        guard all.count > 1 else { return all.first }
        var left = preferred(preferred(all) { !$0.neverFits }, \.hasRoom)
        let costs = left.compactMap(\.way.cost)
        if costs.count == left.count, Set(costs.map(\.clock)).count == 1, let least = costs.map(\.sum).min() {
            left.removeAll { ($0.way.cost?.sum ?? 0) > least &+ least / 5 }
        }
        return left.min { (load($0), $0.way.cost?.sum ?? 0) < (load($1), $1.way.cost?.sum ?? 0) }
    }

    /// Those that are so, or all where none is.
    private func preferred(_ all: [Candidate], _ isSo: (Candidate) -> Bool) -> [Candidate] {
        let some = all.filter(isSo)
        return some.isEmpty ? all : some
    }

    private func load(_ candidate: Candidate) -> Int {
        let pair = pairs[candidate.pair]
        return seats[pair.decode] + (candidate.route == .disaggregated ? members[pair.prefill].count : 0)
    }

    private func candidate(_ sequence: Sequence, _ index: Int, _ route: Route) -> Candidate {
        let pair = pairs[index]
        let (near, far) = (stages[pair.prefill].ledger, stages[pair.decode].ledger)
        let there = match(sequence, index, route, far, limit: sequence.tokens.count - 1)
        var candidate = Candidate(pair: index, route: route, there: there, way: Router.Way(uncachedTokens: 0, neededBlocks: 0, freeBlocks: 0, cost: nil))
        let reserve = settings.overcommits && !sequence.wasPreempted ? min(sequence.need, sequence.tokens.count + ledgers[far].blockTokens) : sequence.need
        candidate.freshThere = max(0, ledgers[far].blocks(for: reserve) - there.blocks.count)
        candidate.hasRoom = ledgers[far].hasRoom(for: candidate.freshThere, beside: there) && seats[pair.decode] < stages[pair.decode].maxSequences && !lostStages.contains(pair.decode)
        candidate.neverFits = ledgers[far].blocks(for: sequence.need) > ledgers[far].usableCount
        let needed = candidate.freshThere + there.keptCount
        candidate.way.neededBlocks = needed
        candidate.way.freeBlocks = seats[pair.decode] < stages[pair.decode].maxSequences ? ledgers[far].availableCount : 0
        var cached = there.blocks.count * ledgers[far].blockTokens
        if route == .disaggregated, near != far, cached < sequence.promptCount {
            let here = match(sequence, index, route, near, limit: sequence.promptCount - 1)
            candidate.here = here
            cached = here.blocks.count * ledgers[near].blockTokens
            candidate.freshHere = ledgers[near].blocks(for: sequence.promptCount) - here.blocks.count
            candidate.hasRoom = candidate.hasRoom && ledgers[near].hasRoom(for: candidate.freshHere, beside: here)
            candidate.neverFits = candidate.neverFits || ledgers[near].blocks(for: sequence.promptCount) > ledgers[near].usableCount
            let short = candidate.freshHere + here.keptCount
            if ledgers[near].availableCount - short < candidate.way.freeBlocks - needed {
                (candidate.way.neededBlocks, candidate.way.freeBlocks) = (short, ledgers[near].availableCount)
            }
        }
        candidate.way.uncachedTokens = max(0, sequence.promptCount - cached)
        candidate.way.cost = cost(index, route, prompt: sequence.promptCount, cached: min(cached, sequence.promptCount), carried: sequence.promptCount - min(sequence.promptCount, there.blocks.count * ledgers[far].blockTokens))
        return candidate
    }

    /// Known blocks that begin the request, in whole token steps.
    private func match(_ sequence: Sequence, _ index: Int, _ route: Route, _ ledger: Int, limit: Int) -> BlockLedger.Match {
        guard settings.keepsPrefixes else { return BlockLedger.Match() }
        let maker = maker(index, route, promptCount: sequence.promptCount, ledger)
        let found = ledgers[ledger].match(sequence.tokens, limit: limit, maker: maker)
        let step = route == .disaggregated ? pairs[index].tokenStep : 1
        let whole = found.blocks.count * ledgers[ledger].blockTokens
        guard whole < sequence.promptCount, whole % step != 0 else { return found }
        return ledgers[ledger].match(sequence.tokens, limit: whole / step * step, maker: maker)
    }

    /// On the clock of the drivers' costs: what stands before it, its prefill, its KV's way, and what it takes from running streams.
    private func cost(_ index: Int, _ route: Route, prompt: Int, cached: Int, carried: Int) -> Router.Way.Time? {
        let pair = pairs[index]
        let stage = route == .disaggregated ? pair.prefill : pair.decode
        guard let curve = stages[stage].prefillCost else { return nil }
        let backlog = members[stage].reduce(0) { sum, id in
            let left = sequences[id].map { pending($0, stage) } ?? 0
            return sum + (left > 1 ? left : 0)
        }
        let whole = curve.at(prompt)
        let prefill = cached == 0 ? whole : max(curve.at(1), whole - min(whole, curve.at(cached)))
        let streams = members[pair.decode].contains { sequences[$0].map { $0.tokens.count > $0.promptCount } ?? false }
        var time = Router.Way.Time(clock: curve.clock, wait: curve.at(backlog), prefill: prefill, handoff: 0, taken: 0)
        if route == .aggregated {
            time.taken = streams ? prefill : 0
        } else if stages[pair.prefill].ledger != stages[pair.decode].ledger {
            guard let moving = pair.importCost, moving.clock == curve.clock else { return nil }
            time.handoff = exposedByPair[index].map { UInt64($0) } ?? moving.at(carried)
            time.taken = streams ? moving.at(carried) : 0
        }
        return time
    }

    /// Holds the blocks of a way and seats the request.
    private mutating func take(_ chosen: Candidate, for id: ID, _ reason: String) {
        guard let sequence = sequences[id] else { return }
        let pair = pairs[chosen.pair]
        let (near, far) = (stages[pair.prefill].ledger, stages[pair.decode].ledger)
        leave(sequence)
        var taken = sequence
        taken.pair = chosen.pair
        taken.route = chosen.route
        ledgers[far].hold(chosen.there)
        taken.there = side(chosen.there, ledgers[far].take(chosen.freshThere) ?? [], ledgers[far].blockTokens)
        taken.cachedThere = taken.there.computed
        taken.cachedHere = taken.cachedThere
        taken.shares = chosen.route == .disaggregated && near == far
        if let here = chosen.here {
            ledgers[near].hold(here)
            taken.here = side(here, ledgers[near].take(chosen.freshHere) ?? [], ledgers[near].blockTokens)
            taken.cachedHere = taken.here.computed
        }
        let prefills = chosen.route == .disaggregated && taken.there.computed < sequence.promptCount
        taken.phase = prefills ? .prefilling : .decoding
        sequences[id] = taken
        members[prefills ? pair.prefill : pair.decode].append(id)
        seats[pair.decode] += 1
        runningByClient[sequence.arrival.client, default: 0] += 1
        tell(taken, chosen, reason)
    }

    private mutating func leave(_ sequence: Sequence) {
        if sequence.ranBefore { return resumed.removeAll { $0 == sequence.id } }
        queue.serve(sequence.flow)
        queuedByClient[sequence.arrival.client, default: 1] -= 1
        tidy(sequence.arrival.client)
    }

    private func side(_ match: BlockLedger.Match, _ fresh: [UInt32], _ blockTokens: Int) -> Side {
        Side(table: match.blocks + fresh, computed: match.blocks.count * blockTokens, recorded: match.blocks.count, tail: match.tail)
    }

    private mutating func tell(_ sequence: Sequence, _ chosen: Candidate, _ reason: String) {
        let cached = min(sequence.promptCount, sequence.cachedHere)
        if !sequence.ranBefore {
            counts.promptTokens += sequence.promptCount
            counts.cachedTokens += cached
            counts.add(chosen.route, pair: chosen.pair)
        }
        let reason = pairs.count == 1 ? reason : "\(reason); \(places(chosen))"
        actions.append(
            .admitted(
                sequence.id, Admission(route: chosen.route, reason: reason, pair: chosen.pair, cachedTokens: cached, isResumed: sequence.ranBefore)))
    }

    /// How many requests went each way.
    var routed: [ServingMetrics.Routed] {
        let apart = pairs.enumerated().filter { $1.prefill != $1.decode }.map { index, pair in
            ServingMetrics.Routed(
                route: .disaggregated, prefill: stages[pair.prefill].devices, decode: stages[pair.decode].devices, count: counts.disaggregated[index] ?? 0)
        }
        return apart + firstPairs.map { index in
            let device = stages[pairs[index].decode].devices
            return ServingMetrics.Routed(route: .aggregated, prefill: device, decode: device, count: counts.aggregated[index] ?? 0)
        }
    }

    private func places(_ chosen: Candidate) -> String {
        let (prefill, decode) = (stages[pairs[chosen.pair].prefill].devices, stages[pairs[chosen.pair].decode].devices)
        return chosen.route == .aggregated ? "prefill and decode on \(decode)" : "prefill on \(prefill), decode on \(decode)"
    }
}
