@testable import Engine
import Testing

/// Blocks, their holders, and prefixes that are found again.
struct BlockLedgerTests {
    private static func fill(_ ledger: inout BlockLedger, _ tokens: [Int32], maker: UInt16 = 0) -> [UInt32] {
        let blocks = ledger.take(ledger.blocks(for: tokens.count)) ?? []
        var tail = BlockLedger.root
        for index in 0..<tokens.count / ledger.blockTokens {
            tail = ledger.record(blocks[index], parent: tail, tokens: tokens[index * ledger.blockTokens..<(index + 1) * ledger.blockTokens], maker: maker)
        }
        return blocks
    }

    private static func found(_ ledger: BlockLedger, _ tokens: [Int32], maker: UInt16 = 0) -> [UInt32] {
        ledger.match(tokens, limit: tokens.count, maker: { _ in maker }).blocks
    }

    @Test("a longer prompt finds the full blocks it begins with, and no block after one that differs")
    func match() {
        var ledger = BlockLedger(blockCount: 16, blockTokens: 4)
        let tokens = (0..<11).map(Int32.init)
        let blocks = Self.fill(&ledger, tokens)
        #expect(Self.found(ledger, tokens + [50, 51, 52]) == Array(blocks.prefix(2)), "the third is not full")
        #expect(Self.found(ledger, [0, 1, 2, 3, 9, 9, 9, 9, 8]) == Array(blocks.prefix(1)))
        #expect(Self.found(ledger, [9] + tokens).isEmpty)
        #expect(Self.found(ledger, Array(tokens[4..<8])).isEmpty, "a block is known by all that comes before it")
        #expect(ledger.match(tokens, limit: 7, maker: { _ in 0 }).blocks.count == 1)
        #expect(Self.found(ledger, tokens, maker: 1).isEmpty, "made by another device's arithmetic")
    }

    @Test("released blocks stay until room is needed: the longest unused chain goes first, its end before its beginning")
    func eviction() {
        var ledger = BlockLedger(blockCount: 6, blockTokens: 2)
        let old = Self.fill(&ledger, [1, 2, 3, 4, 5, 6])
        let new = Self.fill(&ledger, [7, 8, 9, 10, 11, 12])
        ledger.release(old)
        ledger.release(new)
        #expect(ledger.heldCount == 0 && ledger.availableCount == 6)
        let taken = ledger.take(1)
        #expect(taken == [old[2]])
        #expect(Self.found(ledger, [1, 2, 3, 4, 5, 6]) == Array(old.prefix(2)))
        #expect(Self.found(ledger, [7, 8, 9, 10, 11, 12]) == new)
        ledger.hold(ledger.match([1, 2], limit: 2, maker: { _ in 0 }))
        #expect(ledger.take(5) == nil)
        #expect(ledger.take(4)?.count == 4)
        #expect(ledger.isSound && Self.found(ledger, [1, 2]) == [old[0]], "what is held is not forgotten")
    }

    @Test("a block with two holders goes back with the second; quarantined blocks only when they are recovered")
    func holders() {
        var ledger = BlockLedger(blockCount: 4, blockTokens: 2)
        let blocks = Self.fill(&ledger, [1, 2, 3, 4])
        ledger.hold(ledger.match([1, 2, 3, 4], limit: 4, maker: { _ in 0 }))
        ledger.release(blocks)
        #expect(ledger.heldCount == 2)
        ledger.release(blocks)
        #expect(ledger.heldCount == 0 && ledger.keptCount == 2)
        let lost = ledger.take(3) ?? []
        ledger.quarantine(lost)
        ledger.release(lost)
        #expect(ledger.usableCount == 1 && ledger.availableCount == 1 && ledger.isSound)
        ledger.recover(lost)
        ledger.recover(lost)
        #expect(ledger.usableCount == 4 && ledger.availableCount == 4 && ledger.isSound)
    }

    @Test("after a device has failed nothing it holds is found again")
    func forgotten() {
        var ledger = BlockLedger(blockCount: 4, blockTokens: 2)
        let blocks = Self.fill(&ledger, [1, 2, 3, 4])
        ledger.release([blocks[1]])
        ledger.forgetAll()
        #expect(Self.found(ledger, [1, 2]).isEmpty && ledger.isSound)
        ledger.release([blocks[0]])
        #expect(ledger.availableCount == 4 && ledger.keptCount == 0)
    }

    @Test("the same content twice is known once, and the second copy is free when it is let go")
    func twice() {
        var ledger = BlockLedger(blockCount: 4, blockTokens: 2)
        let first = Self.fill(&ledger, [1, 2])
        let second = Self.fill(&ledger, [1, 2])
        ledger.release(second)
        #expect(ledger.keptCount == 0 && ledger.availableCount == 3)
        ledger.release(first)
        #expect(ledger.keptCount == 1 && ledger.isSound)
    }
}
