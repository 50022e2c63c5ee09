extension Schedule {
    /// Everything that had KV in the stage's ledger is computed again, or ends with the error.
    mutating func stageReset(_ stage: Int, _ error: EngineError, _ lost: Set<ID>) {
        let ledger = stages[stage].ledger
        for item in running[stage]?.items ?? [] { sequences[item.id]?.isInFlight = false }
        running[stage] = nil
        ledgers[ledger].forgetAll()
        for id in lost { quarantine(id) }
        let held = sequences.values.filter { holds($0, ledger) }.sorted { $0.rank < $1.rank }
        for sequence in held { lose(sequence, ledger, error) }
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
        sequences[id]?.hasHandoff = false
        if let doom = sequence.doom { return conclude(id, doom) }
        guard settings.recomputes else { return conclude(id, .failed(error)) }
        preempt(id)
    }
}
