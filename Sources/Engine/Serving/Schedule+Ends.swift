extension Schedule {
    /// Ends a request, at once where nothing is under way with its blocks, else as soon as that is over. The first reason stands.
    mutating func conclude(_ id: ID, _ doom: Doom) {
        guard let sequence = sequences[id] else { return }
        if sequence.doom == nil { sequences[id]?.doom = doom }
        if sequence.isInFlight || sequence.phase == .handing || sequence.phase == .closing { return }
        if sequence.hasHandoff {
            sequences[id]?.phase = .closing
            members[pairs[sequence.pair].prefill].removeAll { $0 == id }
            return actions.append(.closeHandoff(id, stage: pairs[sequence.pair].prefill))
        }
        remove(id)
    }

    private mutating func remove(_ id: ID) {
        guard let sequence = sequences[id] else { return }
        unseat(id)
        sequences[id] = nil
        if sequence.phase == .waiting { leaveQueue(sequence) } else { ended() }
        actions.append(.ended(id, sequence.doom?.error))
    }

    /// Takes a request out of what waits.
    private mutating func leaveQueue(_ sequence: Sequence) {
        if sequence.ranBefore {
            resumed.removeAll { $0 == sequence.id }
        } else {
            queue.remove(sequence.id, from: sequence.flow)
            queuedByClient[sequence.arrival.client, default: 1] -= 1
            tidy(sequence.arrival.client)
        }
    }

    mutating func tidy(_ client: String) {
        if queuedByClient[client] == 0 { queuedByClient[client] = nil }
        if runningByClient[client] == 0 { runningByClient[client] = nil }
    }

    private mutating func ended() {
        if let lastEnd {
            let passed = Double(now &- lastEnd)
            interval = interval == 0 ? passed : interval * 0.8 + passed * 0.2
        }
        lastEnd = now
    }

    /// Gives back the blocks and the seat of an admitted request.
    mutating func unseat(_ id: ID) {
        guard let sequence = sequences[id], sequence.phase != .waiting else { return }
        let pair = pairs[sequence.pair]
        releaseHere(id)
        ledgers[stages[pair.decode].ledger].release(sequence.there.table)
        sequences[id]?.there = Side()
        for stage in Set([pair.prefill, pair.decode]) { members[stage].removeAll { $0 == id } }
        seats[pair.decode] -= 1
        runningByClient[sequence.arrival.client, default: 1] -= 1
        tidy(sequence.arrival.client)
    }

    /// Gives back what is held on the prefill side.
    mutating func releaseHere(_ id: ID) {
        guard let sequence = sequences[id], !sequence.here.table.isEmpty else { return }
        ledgers[stages[pairs[sequence.pair].prefill].ledger].release(sequence.here.table)
        sequences[id]?.here = Side()
    }

    /// Sends an admitted request back to the head of what waits, without its blocks.
    mutating func requeue(_ id: ID) {
        unseat(id)
        sequences[id]?.phase = .waiting
        sequences[id]?.ranBefore = true
        sequences[id]?.hasHandoff = false
        sequences[id]?.lostThere = nil
        sequences[id]?.shares = false
        resumed.append(id)
        resumed.sort { (sequences[$0]?.rank ?? (0, 0)) < (sequences[$1]?.rank ?? (0, 0)) }
    }

    mutating func preempt(_ id: ID) {
        requeue(id)
        sequences[id]?.wasPreempted = true
        counts.preempted += 1
        actions.append(.preempted(id))
    }

    /// Prefill failed or its KV did not arrive: it is done again, by another prefill device where there is one that does not rest, else where
    /// decode is; or the request ends.
    mutating func fallBack(_ id: ID, _ error: EngineError) {
        guard let there = sequences[id] else { return }
        if there.doom != nil { return conclude(id, .cancelled) }
        sequences[id]?.failedAt.insert(pairs[there.pair].prefill)
        guard let sequence = sequences[id] else { return }
        let isElsewhere = pairs.contains { $0.prefill != $0.decode && isOpen($0.prefill, to: sequence) }
        guard settings.recomputes, isElsewhere || !sequence.arrival.requiresDisaggregated else { return conclude(id, .failed(error)) }
        if sequence.madeByPrefill { sequences[id]?.tokens.removeLast() }
        sequences[id]?.madeByPrefill = false
        if !isElsewhere { sequences[id]?.forced = .aggregated }
        requeue(id)
        counts.recomputed += 1
        actions.append(.recomputed(id, error))
    }

    /// It does not rest after a failure, and the request has not failed there.
    func isOpen(_ stage: Int, to sequence: Sequence) -> Bool { failedUntil[stage] <= now && !sequence.failedAt.contains(stage) }
}
