import Driver
import Synchronization

/// Host memory that pieces pass through: a few slots, used in turn.
package struct Staging {
    /// What hosts send at once.
    static let pieceBytes = 1 << 20
    static let count = 4

    /// How many of `count` parts of `each` bytes go in a piece: pieces that are as few, and then as even, as can be.
    package static func share(of count: Int, each: Int) -> Int {
        let pieces = max(1, (count * each + pieceBytes - 1) / pieceBytes)
        return max(1, min((count + pieces - 1) / pieces, pieceBytes / each))
    }

    /// Used by one handoff at a time.
    final class Slot: @unchecked Sendable {
        private let region: HostRegion
        private(set) var wireCount = 0
        private(set) var convertedCount = 0
        fileprivate var piece = -1

        init(bytes: Int) throws(DriverError) { region = try HostRegion(count: bytes) }

        var capacity: Int { region.count }
        var wireBase: UnsafeMutableRawPointer { region.base }
        var convertedBase: UnsafeMutableRawPointer { region.base + (wireCount + 63) / 64 * 64 }
        var wire: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: wireBase, count: wireCount) }
        var converted: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: convertedBase, count: convertedCount) }

        fileprivate func take(piece: Int, wire: Int, converted: Int) {
            self.piece = piece
            wireCount = wire
            convertedCount = converted
        }
    }

    private var slots: [Slot] = []
    private var next = 0
    /// Slots of handoffs that are over, whose pages are there already: at most so many wait for the next.
    private static let free = Mutex<[Slot]>([])
    private static let mostFree = 8

    /// Lets go of what waits for the next handoff: an engine has closed, and there may be none.
    static func letGo() {
        let slots = free.withLock { free in
            defer { free = [] }
            return free
        }
        withExtendedLifetime(slots) {}
    }

    init() throws(DriverError) {
        for _ in 0..<Self.count {
            if let slot = Self.free.withLock({ $0.popLast() }) { slots.append(slot) } else { slots.append(try Slot(bytes: 2 * Self.pieceBytes + 64)) }
        }
    }

    /// No device uses the memory any more: another handoff may have it.
    mutating func giveBack() {
        let slots = slots
        Self.free.withLock { free in free += slots.prefix(max(0, Self.mostFree - free.count)) }
        self.slots = []
    }

    /// The next slot, once what was in it is no longer needed.
    mutating func slot(
        wire: Int, converted: Int, free: (Int) throws(DriverError) -> Void
    ) throws(DriverError) -> Slot {
        let index = next % Self.count
        if next >= Self.count { try free(next - Self.count) }
        let needed = (wire + 63) / 64 * 64 + converted
        if slots[index].capacity < needed { slots[index] = try Slot(bytes: needed) }
        slots[index].take(piece: next, wire: wire, converted: converted)
        next += 1
        return slots[index]
    }
}
