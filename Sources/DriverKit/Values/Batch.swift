/// One batch, copied and proven to fit its program and pool.
public struct Batch: Sendable {
    /// A tensor of role input or output, and the buffer it lies in; the buffer is long enough.
    public struct Binding: Sendable {
        public var tensor: Int
        public var buffer: any BufferImplementation
        public var offset: Int
    }

    /// Empty when the program takes hidden states.
    public internal(set) var tokens: [UInt32] = []
    public internal(set) var positions: [UInt32] = []
    public internal(set) var sequences: [UInt32] = []
    public internal(set) var sequenceCount = 0
    /// Token indices whose output is wanted.
    public internal(set) var rows: [UInt32] = []
    /// [sequenceCount][blockTableStride]; only entries that positions reach are proven to be in the pool.
    public internal(set) var blockTables: [UInt32] = []
    public internal(set) var blockTableStride = 0
    public internal(set) var bindings: [Binding] = []
    /// Nil when the program has no attention.
    public internal(set) var pool: (any PoolImplementation)?
    public internal(set) var tag: UInt64 = 0

    public var tokenCount: Int { positions.count }

    /// The tokens of one sequence, which are contiguous.
    public struct Run: Sendable, Hashable {
        public var sequence: Int
        public var tokens: Range<Int>
        public var firstPosition: Int
    }

    /// One for each sequence that has tokens, in the order of the batch.
    public internal(set) var runs: [Run] = []

    /// KV tokens attended to, summed over the tokens.
    public var contextTokens: Int { positions.reduce(0) { $0 + Int($1) + 1 } }

    /// What `tensor` is bound to.
    public func binding(_ tensor: Int) -> Binding? { bindings.first { $0.tensor == tensor } }
}
