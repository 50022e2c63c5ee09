import Synchronization

/// Which blocks of a stage's KV pools are free. The host owns block tables; devices only see indices.
///
/// Every reservation has a generation, never used again, so that a late write to blocks that have gone back can be told apart.
public final class BlockAllocator: Sendable {
    public let blockTokens: Int
    public let blockCount: Int
    private let state: Mutex<State>

    private struct State {
        var free: [UInt32]
        var generation: UInt64 = 0
        var live: Set<UInt64> = []
        /// Reservations whose blocks may still be written to, and what was given back of them meanwhile.
        var quarantined: [UInt64: [UInt32]] = [:]
    }

    public init(blockCount: Int, blockTokens: Int) {
        self.blockCount = blockCount
        self.blockTokens = blockTokens
        state = Mutex(State(free: (0..<UInt32(blockCount)).reversed()))
    }

    public var freeCount: Int { state.withLock { $0.free.count } }

    /// Blocks for `tokens` tokens, all or none.
    /// - Throws: `neverFits` when the pool is too small for it at all, `busy` when too few are free now.
    func reserve(tokens: Int) throws(HandoffAbort) -> (blocks: [UInt32], generation: UInt64) {
        let needed = (tokens + blockTokens - 1) / blockTokens
        guard needed <= blockCount else { throw .neverFits(needed: needed, there: blockCount) }
        let result: Result<([UInt32], UInt64), HandoffAbort> = state.withLock { state in
            guard needed <= state.free.count else { return .failure(.busy(needed: needed, free: state.free.count)) }
            let blocks = Array(state.free.suffix(needed).reversed())
            state.free.removeLast(needed)
            state.generation += 1
            state.live.insert(state.generation)
            return .success((blocks, state.generation))
        }
        let (blocks, generation) = try result.get()
        return (blocks, generation)
    }

    /// Whether a reservation still stands.
    func isLive(_ generation: UInt64) -> Bool { state.withLock { $0.live.contains(generation) } }

    /// Keeps the blocks of a reservation out of use: a device that does not answer may still write to them.
    func quarantine(generation: UInt64) {
        state.withLock { state in
            guard state.live.remove(generation) != nil else { return }
            state.quarantined[generation] = []
        }
    }

    /// The device has ended what it did with them: they are as any others again.
    func recover(generation: UInt64) {
        state.withLock { state in
            guard let blocks = state.quarantined.removeValue(forKey: generation) else { return }
            if blocks.isEmpty { state.live.insert(generation) } else { state.free.append(contentsOf: blocks) }
        }
    }

    func release(_ blocks: [UInt32], generation: UInt64) {
        state.withLock { state in
            if state.quarantined[generation] != nil { return state.quarantined[generation] = blocks.reversed() }
            guard state.live.remove(generation) != nil else { return }
            state.free.append(contentsOf: blocks.reversed())
        }
    }
}

extension HandoffAbort: Error {}

/// The KV of one sequence on one stage's devices: which blocks, and how many of their tokens count.
/// Owned once: a handoff consumes it and gives it on the other devices. Its blocks go back when it goes.
public struct KVState: ~Copyable, Sendable {
    public let blocks: [UInt32]
    /// Tokens whose KV is there.
    public var tokens: Int
    public let generation: UInt64
    let allocator: BlockAllocator

    /// Reserves room for `capacity` tokens; none count yet.
    init(reserving capacity: Int, from allocator: BlockAllocator) throws(HandoffAbort) {
        let held = try allocator.reserve(tokens: capacity)
        blocks = held.blocks
        generation = held.generation
        self.allocator = allocator
        tokens = 0
    }

    public var capacity: Int { blocks.count * allocator.blockTokens }

    deinit { allocator.release(blocks, generation: generation) }
}
