extension Schedule {
    /// Which of a request's sides a stage works on.
    private func side(_ sequence: Sequence, _ stage: Int) -> WritableKeyPath<Sequence, Side> {
        sequence.phase == .prefilling && !sequence.shares ? \.here : \.there
    }

    /// Tokens whose KV a stage has still to make.
    func pending(_ sequence: Sequence, _ stage: Int) -> Int {
        let wanted = sequence.phase == .prefilling ? sequence.promptCount : sequence.tokens.count
        return wanted - sequence[keyPath: side(sequence, stage)].computed
    }

    /// Sends the next batch to an idle stage: a token for every stream, then as much of prompts as goes beside them.
    mutating func dispatch(_ stage: Int) {
        guard !members[stage].isEmpty, !lostStages.contains(stage) else { return }
        if settings.overcommits { growAll(stage) }
        var items: [BatchPlan.Item] = []
        var chunks: [ID] = []
        for id in members[stage] {
            guard let sequence = sequences[id], sequence.doom == nil, lacking(id, stages[stage].ledger) ?? 0 <= 0 || sequence.phase == .prefilling else { continue }
            let left = pending(sequence, stage)
            if left == 1, sequence.phase == .decoding, items.count < min(stages[stage].maxSequences, stages[stage].maxTokens) {
                items.append(item(sequence, stage, count: 1))
            } else if left > 0 {
                chunks.append(id)
            }
        }
        addChunks(chunks, stage, &items)
        guard !items.isEmpty else { return }
        for item in items { sequences[item.id]?.isInFlight = true }
        let plan = BatchPlan(stage: stage, items: items)
        running[stage] = plan
        actions.append(.run(plan))
    }

    private mutating func addChunks(_ ids: [ID], _ stage: Int, _ items: inout [BatchPlan.Item]) {
        let streams = items.count
        var room = stages[stage].maxTokens - streams
        if streams > 0 { room = min(room, settings.mixedTokens, max(settings.mixedFloor, settings.mixedTokensPerStream * streams)) }
        var packed = 0
        for id in ids {
            guard let sequence = sequences[id], items.count < stages[stage].maxSequences, room > 0, packed == 0 || packed < settings.packedTokens else { return }
            let count = chunk(sequence, stage, room: room, isFirst: packed == 0)
            guard count > 0 else { continue }
            items.append(item(sequence, stage, count: count))
            if sequence.phase == .prefilling, !sequence.shares { sequences[id]?.hasHandoff = true }
            room -= count
            packed += count
        }
    }

    /// How many tokens of a prompt go into a batch with room for `room`: where KV is handed over, whole token steps or the rest.
    private func chunk(_ sequence: Sequence, _ stage: Int, room: Int, isFirst: Bool) -> Int {
        let left = pending(sequence, stage)
        if left <= room { return left }
        guard sequence.phase == .prefilling, !sequence.shares else { return room }
        let start = sequence.here.computed
        let step = pairs[sequence.pair].tokenStep
        let end = (start + room) / step * step
        return end > start ? end - start : isFirst ? room : 0
    }

    private func item(_ sequence: Sequence, _ stage: Int, count: Int) -> BatchPlan.Item {
        let side = sequence[keyPath: side(sequence, stage)]
        let end = side.computed + count
        let prefills = sequence.phase == .prefilling
        let carries = prefills && !sequence.shares
        let last = end == (prefills ? sequence.promptCount : sequence.tokens.count)
        return BatchPlan.Item(
            id: sequence.id, tokens: Array(sequence.tokens[side.computed..<end]), start: side.computed, table: side.table,
            wantsToken: last && (!prefills || sequence.tokens.count == sequence.promptCount), isStep: count == 1 && !prefills && sequence.tokens.count > sequence.promptCount,
            carry: carries
                ? BatchPlan.Carry(
                    pair: sequence.pair, decodeTable: sequence.there.table, from: sequence.cachedThere, cached: sequence.cachedHere,
                    capacity: sequence.need, isFirst: !sequence.hasHandoff, isLast: last)
                : nil)
    }

    /// Room for the next token of every stream of a stage, from the first in rank on; the last ones give way.
    private mutating func growAll(_ stage: Int) {
        members[stage].sort { (sequences[$0]?.rank ?? (0, 0)) < (sequences[$1]?.rank ?? (0, 0)) }
        for id in members[stage] where members[stage].contains(id) { grow(id, stage) }
    }

    private mutating func grow(_ id: ID, _ stage: Int) {
        guard let sequence = sequences[id], sequence.phase == .decoding, sequence.doom == nil else { return }
        let ledger = stages[stage].ledger
        while let lacking = lacking(id, ledger), lacking > 0 {
            if let more = ledgers[ledger].take(lacking) {
                sequences[id]?.there.table += more
                return
            }
            guard let victim = victim(stage, on: ledger) else { return }
            preempt(victim)
            if victim == id { return }
        }
    }

    private func lacking(_ id: ID, _ ledger: Int) -> Int? {
        sequences[id].map { ledgers[ledger].blocks(for: $0.tokens.count) - $0.there.table.count }
    }

    /// The last in rank of the requests that nothing is under way with.
    private func victim(_ stage: Int, on ledger: Int) -> ID? {
        members[stage].last { id in sequences[id].map { $0.phase == .decoding && !$0.isInFlight && $0.doom == nil } ?? false }
    }

    mutating func batchDone(_ stage: Int, _ outcomes: [Outcome]) {
        guard let plan = running[stage] else { return }
        running[stage] = nil
        askAfter(stage)
        let kinds = Dictionary(outcomes.map { ($0.id, $0.kind) }) { first, _ in first }
        for item in plan.items { take(item, stage, kinds[item.id] ?? .computed) }
    }

    private mutating func take(_ item: BatchPlan.Item, _ stage: Int, _ kind: Outcome.Kind) {
        guard let sequence = sequences[item.id] else { return }
        sequences[item.id]?.isInFlight = false
        let path = side(sequence, stage)
        sequences[item.id]?[keyPath: path].computed = item.start + item.tokens.count
        record(item.id, path, stages[stage].ledger)
        if case .handoffFailed(let error, let lost) = kind {
            if lost { quarantine(item.id) }
            sequences[item.id]?.hasHandoff = false
            return fallBack(item.id, error)
        }
        let whole = sequence.phase == .prefilling && item.start + item.tokens.count == sequence.promptCount
        switch kind {
        case .computed: break
        case .token(let token):
            sequences[item.id]?.tokens.append(token)
            sequences[item.id]?.madeByPrefill = whole && !sequence.shares
        case .ended: if sequence.doom == nil { sequences[item.id]?.doom = .finished }
        case .handoffFailed: break
        case .failed(let error): if sequence.doom == nil { sequences[item.id]?.doom = .failed(error) }
        }
        if whole { prefillEnded(item.id) }
        if let doom = sequences[item.id]?.doom { conclude(item.id, doom) }
    }

    /// The prompt is computed: its KV is on its way, or where decode is already.
    private mutating func prefillEnded(_ id: ID) {
        guard let sequence = sequences[id] else { return }
        let pair = pairs[sequence.pair]
        members[pair.prefill].removeAll { $0 == id }
        guard sequence.shares else {
            sequences[id]?.phase = .handing
            return
        }
        sequences[id]?.phase = .decoding
        members[pair.decode].append(id)
    }

    /// Says what newly full blocks contain.
    mutating func record(_ id: ID, _ path: WritableKeyPath<Sequence, Side>, _ ledger: Int) {
        guard settings.keepsPrefixes, let sequence = sequences[id] else { return }
        var side = sequence[keyPath: path]
        let size = ledgers[ledger].blockTokens
        let maker = maker(sequence.pair, sequence.route, promptCount: sequence.promptCount, ledger)
        while (side.recorded + 1) * size <= side.computed, side.recorded < side.table.count {
            let range = side.recorded * size..<(side.recorded + 1) * size
            side.tail = ledgers[ledger].record(
                side.table[side.recorded], parent: side.tail, tokens: sequence.tokens[range], maker: maker(side.recorded))
            side.recorded += 1
        }
        sequences[id]?[keyPath: path] = side
    }

    /// Whose arithmetic makes the blocks of a request in a ledger: 0 for the ledger's own device, else the first pair of those that hand over the same values.
    func maker(_ index: Int, _ route: Route, promptCount: Int, _ ledger: Int) -> @Sendable (Int) -> UInt16 {
        let pair = pairs[index]
        let size = ledgers[ledger].blockTokens
        let isOwn = route == .aggregated || pair.isUniform || ledger != stages[pair.decode].ledger
        let handed = UInt16(truncatingIfNeeded: (pair.arithmetic ?? index) + 1)
        return { block in isOwn || (block + 1) * size > promptCount ? 0 : handed }
    }

    mutating func batchFailed(_ stage: Int, _ error: EngineError, _ lost: Set<ID>) {
        guard let plan = running[stage] else { return }
        running[stage] = nil
        askAfter(stage)
        failedUntil[stage] = now &+ settings.cooldown
        ledgers[stages[stage].ledger].forgetAll()
        for item in plan.items {
            guard let sequence = sequences[item.id] else { continue }
            sequences[item.id]?.isInFlight = false
            sequences[item.id]?.hasHandoff = false
            if lost.contains(item.id) { quarantine(item.id) }
            if sequence.phase == .prefilling { fallBack(item.id, error) } else { goOn(item.id, after: error, at: stage) }
        }
    }

    /// With all that it has made, at another decode device where there is one that does not rest; a request that fails on all of them ends.
    private mutating func goOn(_ id: ID, after error: EngineError, at stage: Int) {
        sequences[id]?.failedAt.insert(stage)
        guard let sequence = sequences[id] else { return }
        if decodeStages.contains(where: { isOpen($0, to: sequence) }) { recompute(id, error) } else { conclude(id, .failed(error)) }
    }

    mutating func handedOver(_ id: ID, _ exposed: UInt64) {
        guard let sequence = sequences[id], sequence.phase == .handing else { return }
        let pair = pairs[sequence.pair]
        exposedByPair[sequence.pair] = exposedByPair[sequence.pair].map { $0 * 0.8 + Double(exposed) * 0.2 } ?? Double(exposed)
        sequences[id]?.hasHandoff = false
        sequences[id]?.madeByPrefill = false
        sequences[id]?.phase = .decoding
        // Its first token has been given out, and stands.
        if let error = sequence.lostThere { return recompute(id, error) }
        sequences[id]?.there.computed = max(sequence.there.computed, sequence.promptCount)
        releaseHere(id)
        record(id, \.there, stages[pair.decode].ledger)
        members[pair.decode].append(id)
        if let doom = sequences[id]?.doom { conclude(id, doom) }
    }

    mutating func handoffFailed(_ id: ID, _ error: EngineError, _ lost: Bool) {
        guard let sequence = sequences[id], sequence.phase == .handing else { return }
        if lost { quarantine(id) }
        sequences[id]?.hasHandoff = false
        sequences[id]?.phase = .decoding
        if let doom = sequence.doom { return conclude(id, doom) }
        fallBack(id, error)
    }
}
