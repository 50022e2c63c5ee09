// SPDX-License-Identifier: Apache-2.0

/// A map from a pair of ids to a rank and an id, for lookups in the innermost loop of encoding: open addressing, at most
/// half full. The hash is multiplicative with a random odd factor, so that no file can be made to collide.
struct MergeTable: Sendable {
    struct Value: Sendable {
        var rank: Int32
        var id: Int32
    }

    private struct Slot: Sendable {
        var key: UInt64
        var value: Value
    }

    /// No pair of ids makes this key, because ids are not negative.
    private static let vacant = UInt64.max

    private var slots: [Slot]
    private let factor: UInt64
    private let shift: UInt64

    /// - Parameter capacity: at most as many insertions.
    init(capacity: Int) {
        var bits = 4
        // A quarter stays vacant at least, so that searches end.
        while 1 << bits < capacity + capacity / 3 { bits += 1 }
        slots = Array(repeating: Slot(key: Self.vacant, value: Value(rank: 0, id: 0)), count: 1 << bits)
        factor = UInt64.random(in: 0...UInt64.max) | 1
        shift = UInt64(64 - bits)
    }

    /// Puts a pair, in place of what it had. Both ids are 0 or more.
    mutating func insert(_ left: Int32, _ right: Int32, _ value: Value) {
        let key = Self.key(left, right)
        slots[slot(of: key)] = Slot(key: key, value: value)
    }

    func find(_ left: Int32, _ right: Int32) -> Value? {
        let slot = slots[slot(of: Self.key(left, right))]
        return slot.key == Self.vacant ? nil : slot.value
    }

    @inline(__always)
    private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    /// Where `key` is, or where it would go.
    @inline(__always)
    private func slot(of key: UInt64) -> Int {
        var slot = Int(truncatingIfNeeded: (key &* factor) &>> shift)
        while slots[slot].key != key, slots[slot].key != Self.vacant { slot = (slot &+ 1) & (slots.count &- 1) }
        return slot
    }
}
