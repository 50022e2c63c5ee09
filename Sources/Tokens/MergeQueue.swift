// SPDX-License-Identifier: Apache-2.0

/// A binary heap of (rank, position), the lowest rank first and the lowest position among equals.
struct MergeQueue {
    /// Rank in the upper half, position in the lower. Both are 0 or more and fit 31 bits.
    private var keys: [UInt64] = []

    /// Replaces the contents by the ranks of `pairs` with their indices, without those of rank `never`.
    mutating func fill(_ pairs: [MergeTable.Value], except never: Int32) {
        keys.removeAll(keepingCapacity: true)
        for (position, pair) in pairs.enumerated() where pair.rank != never { keys.append(Self.key(pair.rank, position)) }
        for index in stride(from: keys.count / 2 - 1, through: 0, by: -1) { sink(keys[index], from: index) }
    }

    mutating func push(_ rank: Int32, _ position: Int) {
        let key = Self.key(rank, position)
        var index = keys.count
        keys.append(key)
        while index > 0, keys[(index - 1) / 2] > key {
            keys[index] = keys[(index - 1) / 2]
            index = (index - 1) / 2
        }
        keys[index] = key
    }

    mutating func pop() -> (rank: Int32, position: Int)? {
        guard let first = keys.first, let last = keys.popLast() else { return nil }
        if !keys.isEmpty { sink(last, from: 0) }
        return (Int32(truncatingIfNeeded: first >> 32), Int(first & 0xffff_ffff))
    }

    private static func key(_ rank: Int32, _ position: Int) -> UInt64 {
        UInt64(UInt32(bitPattern: rank)) << 32 | UInt64(UInt32(truncatingIfNeeded: position))
    }

    /// Puts `key` at `start` or below it.
    private mutating func sink(_ key: UInt64, from start: Int) {
        var index = start
        while true {
            var child = 2 * index + 1
            guard child < keys.count else { break }
            if child + 1 < keys.count, keys[child + 1] < keys[child] { child += 1 }
            guard keys[child] < key else { break }
            keys[index] = keys[child]
            index = child
        }
        keys[index] = key
    }
}
