@testable import Engine
import Testing

/// Every path of a handoff, without a device.
struct HandoffMachineTests {
    private func machine(tokens: Int = 10) -> HandoffMachine { HandoffMachine(tokens: tokens, deadline: 1_000_000, now: 0) }

    @Test("a handoff reserves first, fills, seals and is adopted")
    func whole() {
        var m = machine()
        #expect(m.opening == [.reserve(tokens: 10)])
        #expect(m.handle(.reserved(generation: 3), now: 1) == [])
        #expect(m.state == .reserved)
        #expect(m.handle(.arrived(piece: 0, generation: 3, sent: 7, found: 7), now: 2) == [.importPiece(0)])
        #expect(m.handle(.arrived(piece: 1, generation: 3, sent: nil, found: nil), now: 3) == [.importPiece(1)])
        #expect(m.handle(.imported(piece: 0), now: 4) == [])
        #expect(m.handle(.prefillEnded(pieces: 2), now: 5) == [])
        #expect(m.state == .filling)
        #expect(m.handle(.imported(piece: 1), now: 6) == [.adopt])
        #expect(m.state == .adopted)
    }

    @Test("a refused reservation aborts with the refusal", arguments: [HandoffAbort.neverFits(needed: 9, there: 4), .busy(needed: 3, free: 1)])
    func refused(reason: HandoffAbort) {
        var m = machine()
        #expect(m.handle(.refused(reason), now: 1) == [.release(reason)])
        #expect(m.state == .aborted(reason))
    }

    @Test("a piece whose checksum differs aborts and names its place")
    func damaged() {
        var m = HandoffMachine(tokens: 1, deadline: 10, now: 0) { piece in (layer: piece * 2, firstToken: 16) }
        _ = m.handle(.reserved(generation: 1), now: 0)
        #expect(m.handle(.arrived(piece: 4, generation: 1, sent: 1, found: 2), now: 1) == [.release(.checksum(layer: 8, firstToken: 16))])
    }

    @Test("a write of an ended generation is refused as stale")
    func stale() {
        var m = machine()
        _ = m.handle(.reserved(generation: 5), now: 0)
        #expect(m.handle(.arrived(piece: 0, generation: 4, sent: 1, found: 1), now: 1) == [.release(.stale(generation: 4, current: 5))])
    }

    @Test("the lease is renewed by every sign of life and ends without one")
    func lease() {
        var m = machine()
        _ = m.handle(.reserved(generation: 1), now: 900_000)
        #expect(m.handle(.tick, now: 1_800_000) == [])
        #expect(m.handle(.tick, now: 1_900_001) == [.release(.deadline(milliseconds: 1))])
    }

    @Test("nothing changes a handoff that has ended")
    func terminal() {
        var m = machine()
        _ = m.handle(.failed(.cancelled), now: 1)
        #expect(m.handle(.reserved(generation: 1), now: 2) == [])
        #expect(m.handle(.tick, now: 9_999_999) == [])
        #expect(m.state == .aborted(.cancelled))
    }

    @Test("a piece that arrives twice is imported once")
    func twice() {
        var m = machine()
        _ = m.handle(.reserved(generation: 1), now: 0)
        #expect(m.handle(.arrived(piece: 0, generation: 1, sent: 1, found: 1), now: 1) == [.importPiece(0)])
        #expect(m.handle(.arrived(piece: 0, generation: 1, sent: 1, found: 1), now: 2) == [])
    }

    @Test("blocks are reserved whole or not at all, and a generation is never used again")
    func allocator() throws {
        let blocks = BlockAllocator(blockCount: 4, blockTokens: 16)
        #expect(throws: HandoffAbort.neverFits(needed: 5, there: 4)) { try blocks.reserve(tokens: 65) }
        let first = try blocks.reserve(tokens: 48)
        #expect(first.blocks.count == 3)
        #expect(throws: HandoffAbort.busy(needed: 2, free: 1)) { try blocks.reserve(tokens: 17) }
        blocks.release(first.blocks, generation: first.generation)
        blocks.release(first.blocks, generation: first.generation)
        #expect(blocks.freeCount == 4)
        #expect(!blocks.isLive(first.generation))
        #expect(try blocks.reserve(tokens: 1).generation > first.generation)
    }
}
