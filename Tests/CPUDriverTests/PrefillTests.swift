import Driver
import Testing

/// However a prompt is cut and whoever shares its batch, its logits are the same.
@Suite("The cpu driver's batches", .enabled(if: Rig.isBuilt, "no cpu driver"))
struct PrefillTests {
    private static let variants: [(numerics: String, matrices: DType)] = [("f32", .f32), ("native", .q8_0), ("f32", .q8_0), ("bf16", .f32), ("f16", .f32)]
    /// A 16-bit KV or operand may round the other way after a sum in another order; f32 may not.
    private func tolerance(_ numerics: String) -> Float { numerics == "f32" ? 1e-5 : 2e-2 }

    @Test("a prompt in chunks of any size gives the logits of the whole prompt", arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
    func chunks(seed: UInt64) throws {
        for variant in Self.variants {
            var random = Random(seed: seed)
            let tokens = random.tokens(29)
            let device = try Rig.open(["numerics": variant.numerics])
            let whole = try Rig(device, matrices: variant.matrices).run(.init(tokens: tokens, blocks: [9, 2, 15, 0]))
            let rig = try Rig(device, matrices: variant.matrices)
            var parts: [[Float]] = []
            while parts.count < tokens.count {
                let count = min(1 + random.below(11), tokens.count - parts.count)
                parts += try rig.run(.init(tokens: Array(tokens[parts.count..<parts.count + count]), position: parts.count, blocks: [9, 2, 15, 0]))
            }
            let gap = difference(parts, whole)
            #expect(gap <= tolerance(variant.numerics), "\(variant) differs by \(gap)")
        }
    }

    @Test("the logits depend on the tokens before, so that a lost context would show")
    func contextMatters() throws {
        let rig = try Rig()
        let one = try rig.run(.init(tokens: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], blocks: [0, 1]))
        let other = try rig.run(.init(tokens: [1, 2, 30, 4, 5, 6, 7, 8, 9, 10], blocks: [0, 1]))
        #expect(difference([one[1]], [other[1]]) == 0)
        #expect(difference([one[9]], [other[9]]) > 1e-3)
        #expect(one.joined().allSatisfy { $0.isFinite })
    }

    @Test("several sequences decoded in one batch get what each gets alone", arguments: [7, 8, 9] as [UInt64])
    func batchedDecode(seed: UInt64) throws {
        var random = Random(seed: seed)
        let lengths = [3, 17, 9, 8]
        let blocks: [[UInt32]] = [[3, 1, 12, 5], [0, 2, 4, 6], [7, 9, 11, 13], [8, 10, 14, 15]]
        let prompts = lengths.map { random.tokens($0) }
        let next = random.tokens(4)
        let (together, alone) = (try Rig(), try Rig())
        var wanted: [[Float]] = []
        for index in prompts.indices {
            let prompt = Rig.Piece(tokens: prompts[index], blocks: blocks[index])
            try together.run(prompt)
            try alone.run(prompt)
            wanted += try alone.run(.init(tokens: [next[index]], position: lengths[index], blocks: blocks[index]))
        }
        let pieces = prompts.indices.map { Rig.Piece(tokens: [next[$0]], position: lengths[$0], blocks: blocks[$0]) }
        let found = try together.run(pieces[0], pieces[1], pieces[2], pieces[3])
        #expect(difference(found, wanted) <= 1e-5)
        #expect(difference([found[0]], [wanted[1]]) > 1e-3, "the sequences are told apart")
    }

    @Test("a prefill beside another sequence's decode changes neither", arguments: [10, 11, 12] as [UInt64])
    func mixed(seed: UInt64) throws {
        var random = Random(seed: seed)
        let (old, fresh, next) = (random.tokens(1 + random.below(20)), random.tokens(7 + random.below(20)), random.tokens(1))
        let first = Rig.Piece(tokens: old, blocks: [4, 5, 6, 7])
        let decode = Rig.Piece(tokens: next, position: old.count, blocks: [4, 5, 6, 7])
        let prefill = Rig.Piece(tokens: fresh, blocks: [12, 3, 2, 1])
        let alone = try Rig()
        try alone.run(first)
        let wanted = try alone.run(decode) + alone.run(prefill)
        let together = try Rig()
        try together.run(first)
        #expect(difference(try together.run(decode, prefill), wanted) <= 1e-5)
        let turned = try Rig()
        try turned.run(first)
        let found = try turned.run(prefill, decode)
        #expect(difference([found[fresh.count]] + found[..<fresh.count], wanted) <= 1e-5)
    }

    @Test("only the rows asked for come, in the order asked for")
    func rows() throws {
        let rig = try Rig()
        let piece = Rig.Piece(tokens: [5, 6, 7, 8, 9], blocks: [2])
        let all = try rig.run(piece)
        try rig.finish(queue: 0) { try rig.submit(rig.batch([piece], rows: [4, 1]), sync: $0) }
        let found = try rig.read(2)
        #expect(difference(found, [all[4], all[1]]) <= 1e-5)
        try rig.finish(queue: 0) { try rig.submit(rig.batch([piece], rows: []), sync: $0) }
    }

    @Test("a block copied inside the pool is read as the one it was copied from")
    func copyBlocks() throws {
        let rig = try Rig()
        try rig.run(.init(tokens: [1, 2, 3, 4, 5, 6, 7, 8, 9], blocks: [3, 4]))
        try rig.finish { try rig.pool.copyBlocks(from: [3, 4], to: [10, 11], sync: $0) }
        let wanted = try rig.run(.init(tokens: [20], position: 9, blocks: [3, 4]))
        #expect(try rig.run(.init(tokens: [20], position: 9, blocks: [10, 11])) == wanted)
        #expect(try rig.run(.init(tokens: [20], position: 9, blocks: [10, 12])) != wanted)
    }
}
