// SPDX-License-Identifier: Apache-2.0

/// Byte-pair merging of one piece at a time: the pair of neighbours of the lowest rank is merged, the leftmost of equals,
/// until none is left that merges. Its working memory is kept from piece to piece.
struct BytePairMerger {
    /// Marks a pair that does not merge.
    private static let never = Int32.max
    /// Pieces up to this many symbols are searched through for every merge; longer ones keep a queue.
    private static let shortest = 24
    /// Longer pieces are cut, so that a position fits 31 bits.
    private static let longest = 1 << 30

    private let table: MergeTable
    private let byteTokens: [Int32]

    private var ids: [Int32] = []
    /// What each symbol and the next one merge to.
    private var pairs: [MergeTable.Value] = []
    private var next: [Int32] = []
    private var previous: [Int32] = []
    private var queue = MergeQueue()

    /// - Parameter byteTokens: the id of each of the 256 bytes, or -1 where the vocabulary has none. Such a byte is left
    ///   out before merging, so that its neighbours meet.
    init(table: MergeTable, byteTokens: [Int32]) {
        (self.table, self.byteTokens) = (table, byteTokens)
    }

    /// Appends the tokens of `piece` to `output`.
    mutating func append(_ piece: UnsafeBufferPointer<UInt8>, to output: inout [Int32]) {
        var start = 0
        while start < piece.count {
            let end = min(piece.count, start + Self.longest)
            appendPart(UnsafeBufferPointer(rebasing: piece[start..<end]), to: &output)
            start = end
        }
    }

    private mutating func appendPart(_ piece: UnsafeBufferPointer<UInt8>, to output: inout [Int32]) {
        ids.removeAll(keepingCapacity: true)
        for byte in piece where byteTokens[Int(byte)] >= 0 { ids.append(byteTokens[Int(byte)]) }
        if ids.count > 1 {
            pairs.removeAll(keepingCapacity: true)
            for index in 1..<ids.count { pairs.append(pair(ids[index - 1], ids[index])) }
            if ids.count > Self.shortest { return mergeLong(to: &output) }
            mergeShort()
        }
        output.append(contentsOf: ids)
    }

    @inline(__always)
    private func pair(_ left: Int32, _ right: Int32) -> MergeTable.Value {
        table.find(left, right) ?? MergeTable.Value(rank: Self.never, id: -1)
    }

    private mutating func mergeShort() {
        while true {
            var best = Self.never, at = 0
            for index in pairs.indices where pairs[index].rank < best { (best, at) = (pairs[index].rank, index) }
            if best == Self.never { return }
            ids[at] = pairs[at].id
            ids.remove(at: at + 1)
            pairs.remove(at: at)
            if at < pairs.count { pairs[at] = pair(ids[at], ids[at + 1]) }
            if at > 0 { pairs[at - 1] = pair(ids[at - 1], ids[at]) }
        }
    }

    /// The symbols are a linked list, from 0 to -1; a queued pair whose rank is no longer its position's is out of date.
    private mutating func mergeLong(to output: inout [Int32]) {
        let count = Int32(ids.count)
        pairs.append(MergeTable.Value(rank: Self.never, id: -1))
        next = (0..<count).map { $0 + 1 < count ? $0 + 1 : -1 }
        previous = (0..<count).map { $0 - 1 }
        queue.fill(pairs, except: Self.never)
        while let (rank, position) = queue.pop() {
            if pairs[position].rank == rank { merge(at: position) }
        }
        var position = 0
        while position >= 0 {
            output.append(ids[position])
            position = Int(next[position])
        }
    }

    private mutating func merge(at position: Int) {
        let gone = Int(next[position]), after = next[gone], before = previous[position]
        ids[position] = pairs[position].id
        next[position] = after
        pairs[gone].rank = Self.never
        pairs[position].rank = Self.never
        if after >= 0 {
            previous[Int(after)] = Int32(position)
            enqueue(position, Int(after))
        }
        if before >= 0 { enqueue(Int(before), position) }
    }

    private mutating func enqueue(_ left: Int, _ right: Int) {
        pairs[left] = pair(ids[left], ids[right])
        if pairs[left].rank != Self.never { queue.push(pairs[left].rank, left) }
    }
}
