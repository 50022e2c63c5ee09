/// Who holds which blocks of a pool, and which blocks hold a prefix that may be used again. A value: it touches no device.
///
/// Every block is in one of four states: free, held (with a count of holders), kept (held by nobody, its contents known and
/// reusable, least recently used first out), or quarantined (a device may still write to it).
public struct BlockLedger: Sendable {
    public let blockTokens: Int
    public let blockCount: Int

    /// What a full block contains, exactly: the block before it, its tokens, and whose arithmetic made it.
    struct Content: Hashable {
        /// The number of the block's predecessor in its chain, or of the chain's root.
        var parent: UInt64
        var tokens: [Int32]
        var maker: UInt16
    }
    /// The chain that content without a predecessor follows.
    static let root: UInt64 = 0

    private struct Block {
        var holders = 0
        /// The number of what it contains in the chain; nil while that is unknown or known of another block.
        var number: UInt64?
        var content: Content?
        /// Neighbours among the kept, by block; -1 for none.
        var older = -1
        var newer = -1
        var isKept = false
        var isQuarantined = false
    }
    private var blocks: [Block]
    private var free: [UInt32]
    private var known: [Content: UInt32] = [:]
    private var nextNumber: UInt64 = 1
    private var oldest = -1
    private var newest = -1
    private(set) var keptCount = 0
    private(set) var quarantinedCount = 0

    public init(blockCount: Int, blockTokens: Int) {
        self.blockCount = blockCount
        self.blockTokens = blockTokens
        blocks = [Block](repeating: Block(), count: blockCount)
        free = (0..<UInt32(blockCount)).reversed()
    }

    /// Blocks that can be had now: free ones, and kept ones, which are then forgotten.
    public var availableCount: Int { free.count + keptCount }
    /// Blocks somebody holds.
    public var heldCount: Int { blockCount - free.count - keptCount - quarantinedCount }
    /// Blocks that can be had once all are let go.
    public var usableCount: Int { blockCount - quarantinedCount }

    public func blocks(for tokens: Int) -> Int { (tokens + blockTokens - 1) / blockTokens }

    /// A chain of full blocks as found: the blocks, and the number that the next one follows.
    public struct Match: Sendable, Hashable {
        public var blocks: [UInt32] = []
        var tail = BlockLedger.root
        /// How many of them nobody holds, so that holding them takes from what is available.
        var keptCount = 0
    }

    /// The longest chain of known blocks that begins `tokens`, of at most `limit` tokens.
    func match(_ tokens: [Int32], limit: Int, maker: (Int) -> UInt16) -> Match {
        var match = Match()
        var start = 0
        while start + blockTokens <= limit {
            let content = Content(parent: match.tail, tokens: Array(tokens[start..<start + blockTokens]), maker: maker(match.blocks.count))
            guard let block = known[content], let number = blocks[Int(block)].number else { break }
            match.blocks.append(block)
            match.keptCount += blocks[Int(block)].isKept ? 1 : 0
            match.tail = number
            start += blockTokens
        }
        return match
    }

    /// Whether `count` fresh blocks can be had beside `match`.
    func hasRoom(for count: Int, beside match: Match) -> Bool { count + match.keptCount <= availableCount }

    /// Holds the blocks of a match once more.
    mutating func hold(_ match: Match) {
        for block in match.blocks { hold(block) }
    }

    private mutating func hold(_ block: UInt32) {
        let index = Int(block)
        if blocks[index].isKept { unlink(index) }
        blocks[index].holders += 1
    }

    /// `count` blocks of unknown contents, held once; nil when there are too few.
    mutating func take(_ count: Int) -> [UInt32]? {
        guard count <= availableCount else { return nil }
        var taken: [UInt32] = []
        taken.reserveCapacity(count)
        for _ in 0..<count {
            if free.isEmpty { forgetOldest() }
            guard let block = free.popLast() else { return taken }
            blocks[Int(block)].holders = 1
            taken.append(block)
        }
        return taken
    }

    /// Lets go of blocks in the order of their chain. The last goes first among those that may be forgotten.
    mutating func release(_ held: [UInt32]) {
        for block in held.reversed() {
            let index = Int(block)
            guard blocks[index].holders > 0 else { continue }
            blocks[index].holders -= 1
            guard blocks[index].holders == 0, !blocks[index].isQuarantined else { continue }
            if blocks[index].content == nil { free.append(block) } else { link(index) }
        }
    }

    /// Keeps held blocks out of use: a device that does not answer may still write to them.
    mutating func quarantine(_ held: [UInt32]) {
        for block in held where !blocks[Int(block)].isQuarantined {
            forget(Int(block))
            if blocks[Int(block)].isKept { unlink(Int(block)) }
            blocks[Int(block)].isQuarantined = true
            blocks[Int(block)].holders = 0
            quarantinedCount += 1
        }
    }

    /// The device has ended what it did with them, and nobody's table has them any more: they are free.
    mutating func recover(_ quarantined: [UInt32]) {
        for block in quarantined where blocks[Int(block)].isQuarantined {
            blocks[Int(block)].isQuarantined = false
            quarantinedCount -= 1
            free.append(block)
        }
    }

    /// Says what a held block contains; gives the number that its successor follows. Where another block is known to contain the
    /// same, that one stays known and this one goes when it is let go.
    mutating func record(_ block: UInt32, parent: UInt64, tokens: ArraySlice<Int32>, maker: UInt16) -> UInt64 {
        let content = Content(parent: parent, tokens: Array(tokens), maker: maker)
        if let there = known[content], let number = blocks[Int(there)].number { return number }
        let number = nextNumber
        nextNumber += 1
        guard !blocks[Int(block)].isQuarantined else { return number }
        forget(Int(block))
        known[content] = block
        blocks[Int(block)].content = content
        blocks[Int(block)].number = number
        return number
    }

    /// Forgets all contents: what the device holds can no longer be relied on.
    mutating func forgetAll() {
        for index in blocks.indices {
            if blocks[index].isKept {
                unlink(index)
                free.append(UInt32(index))
            }
            blocks[index].content = nil
            blocks[index].number = nil
        }
        known = [:]
    }

    private mutating func forget(_ index: Int) {
        if let content = blocks[index].content { known[content] = nil }
        blocks[index].content = nil
        blocks[index].number = nil
    }

    private mutating func forgetOldest() {
        guard oldest >= 0 else { return }
        let index = oldest
        unlink(index)
        forget(index)
        free.append(UInt32(index))
    }

    private mutating func link(_ index: Int) {
        blocks[index].isKept = true
        blocks[index].older = newest
        blocks[index].newer = -1
        if newest >= 0 { blocks[newest].newer = index } else { oldest = index }
        newest = index
        keptCount += 1
    }

    private mutating func unlink(_ index: Int) {
        let (older, newer) = (blocks[index].older, blocks[index].newer)
        if older >= 0 { blocks[older].newer = newer } else { oldest = newer }
        if newer >= 0 { blocks[newer].older = older } else { newest = older }
        blocks[index].isKept = false
        keptCount -= 1
    }

    /// How many times each block is held, for tests of those who hold them.
    var holders: [Int] { blocks.map(\.holders) }

    /// Whether every block is in exactly one state; for tests.
    var isSound: Bool {
        let freeSet = Set(free)
        guard freeSet.count == free.count else { return false }
        var kept = 0
        for (index, block) in blocks.enumerated() {
            let states = [freeSet.contains(UInt32(index)), block.holders > 0, block.isKept, block.isQuarantined].filter { $0 }.count
            guard states == 1 else { return false }
            kept += block.isKept ? 1 : 0
            if let content = block.content, known[content] != UInt32(index) { return false }
        }
        return kept == keptCount && known.count == blocks.filter { $0.content != nil }.count
    }
}
