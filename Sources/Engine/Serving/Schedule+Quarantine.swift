extension Schedule {
    /// Blocks of one request that copies of its handoff may still touch.
    struct Quarantine: Sendable {
        var id: ID
        /// Where the handoff came from.
        var stage: Int
        var ledger: Int
        var blocks: [UInt32]
        /// The copies have ended. The blocks are free once no table has them any more.
        var isOver = false
    }

    /// Its blocks may still be written to. Those that others hold as well were never written to by it.
    mutating func quarantine(_ id: ID) {
        guard let sequence = sequences[id] else { return }
        let pair = pairs[sequence.pair]
        let (near, far) = (stages[pair.prefill].ledger, stages[pair.decode].ledger)
        let mine = sequence.here.table.dropFirst(sequence.cachedHere / ledgers[near].blockTokens)
        let theirs = sequence.there.table.dropFirst(sequence.cachedThere / ledgers[far].blockTokens)
        for (ledger, blocks) in [(near, Array(mine)), (far, Array(theirs))] where !blocks.isEmpty {
            ledgers[ledger].quarantine(blocks)
            quarantined.append(Quarantine(id: id, stage: pair.prefill, ledger: ledger, blocks: blocks))
        }
    }

    mutating func copiesEnded(_ id: ID, _ stage: Int) {
        for index in quarantined.indices where quarantined[index].id == id && quarantined[index].stage == stage { quarantined[index].isOver = true }
    }

    /// Frees what copies have ended with. A request that found a prefix in such a block before may still have it in its table.
    mutating func recover() {
        guard quarantined.contains(where: \.isOver) else { return }
        var tabled = [Set<UInt32>](repeating: [], count: ledgers.count)
        for sequence in sequences.values where sequence.phase != .waiting {
            let pair = pairs[sequence.pair]
            tabled[stages[pair.prefill].ledger].formUnion(sequence.here.table)
            tabled[stages[pair.decode].ledger].formUnion(sequence.there.table)
        }
        for index in quarantined.indices where quarantined[index].isOver {
            let one = quarantined[index]
            ledgers[one.ledger].recover(one.blocks.filter { !tabled[one.ledger].contains($0) })
            quarantined[index].blocks.removeAll { !tabled[one.ledger].contains($0) }
        }
        quarantined.removeAll { $0.isOver && $0.blocks.isEmpty }
    }
}
