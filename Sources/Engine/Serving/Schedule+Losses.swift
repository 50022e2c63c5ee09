extension Schedule {
    /// Everything that had KV in the stage's ledger is computed again, or ends with the error.
    mutating func stageReset(_ stage: Int, _ error: EngineError, _ lost: Set<ID>) {
        let ledger = stages[stage].ledger
        for item in running[stage]?.items ?? [] { sequences[item.id]?.isInFlight = false }
        running[stage] = nil
        stageSeen(stage)
        ledgers[ledger].forgetAll()
        for id in lost { quarantine(id) }
        let held = sequences.values.filter { holds($0, ledger) }.sorted { $0.rank < $1.rank }
        for sequence in held { lose(sequence, ledger, error) }
    }

    /// A batch that runs there ends with the same news; where none does, the stage is asked to look.
    mutating func stageLost(_ stage: Int) {
        lostStages.insert(stage)
        askAfter(stage)
    }

    /// Has a lost stage opened anew once nothing runs there.
    mutating func askAfter(_ stage: Int) {
        guard lostStages.contains(stage), running[stage] == nil, reopening.insert(stage).inserted else { return }
        actions.append(.reopen(stage: stage))
    }

    mutating func stageSeen(_ stage: Int) {
        lostStages.remove(stage)
        reopening.remove(stage)
    }

    private func holds(_ sequence: Sequence, _ ledger: Int) -> Bool {
        let pair = pairs[sequence.pair]
        return !sequence.here.table.isEmpty && stages[pair.prefill].ledger == ledger || !sequence.there.table.isEmpty && stages[pair.decode].ledger == ledger
    }

    private mutating func lose(_ sequence: Sequence, _ ledger: Int, _ error: EngineError) {
        let id = sequence.id
        // Prefill goes on elsewhere, or its KV is on the way: that ends by itself, with a failure or not, and is seen to then.
        let isElsewhere = sequence.hasHandoff && stages[pairs[sequence.pair].prefill].ledger != ledger
        if sequence.isInFlight || isElsewhere || sequence.phase == .handing || sequence.phase == .closing {
            sequences[id]?.lostThere = error
            return
        }
        guard sequence.hasHandoff || sequence.doom != nil || hasKV(sequence, ledger) else { return }
        sequences[id]?.hasHandoff = false
        recompute(id, error)
    }

    /// Something of it has been computed there; else its blocks are still to be written to, and are as good as before.
    private func hasKV(_ sequence: Sequence, _ ledger: Int) -> Bool {
        let pair = pairs[sequence.pair]
        return stages[pair.prefill].ledger == ledger && sequence.here.computed > 0 || stages[pair.decode].ledger == ledger && sequence.there.computed > 0
    }

    /// Back to the head of what waits, with all that it has made; or to its end.
    mutating func recompute(_ id: ID, _ error: EngineError) {
        if let doom = sequences[id]?.doom { return conclude(id, doom) }
        guard settings.recomputes else { return conclude(id, .failed(error)) }
        preempt(id)
    }
}
