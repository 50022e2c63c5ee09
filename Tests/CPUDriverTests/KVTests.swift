import Driver
import Testing

/// KV leaves and arrives in every order of axes and every dtype.
@Suite("The cpu driver's KV", .enabled(if: Rig.isBuilt, "no cpu driver"))
struct KVTests {
    private static let dtypes: [DType] = [.f32, .f16, .bf16]
    private static let orders = permutations(KVAxis.allCases)
    private let prompt = Rig.Piece(tokens: [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8], blocks: [5, 0, 11])

    private static func permutations(_ axes: [KVAxis]) -> [[KVAxis]] {
        guard axes.count > 1 else { return [axes] }
        return axes.indices.flatMap { index in
            permutations(axes.enumerated().filter { $0.offset != index }.map(\.element)).map { [axes[index]] + $0 }
        }
    }

    private func layout(_ dtype: DType, _ axes: [KVAxis]) -> KVLayout {
        KVLayout(
            dtype: dtype, axes: axes, blockTokens: Rig.blockTokens, kvHeads: TinyModel.kvHeads, headDim: TinyModel.headDim, layers: TinyModel.layers)
    }

    private static let plain: [KVAxis] = [.layer, .block, .plane, .head, .token, .dim]

    /// Elements of a range, by their places in `plain`, read from an array in any order of axes.
    private func elements(_ bytes: [UInt8], _ layout: KVLayout, layers: Int, blocks: Int) -> [UInt32] {
        var (step, steps) = (1, [Int](repeating: 0, count: 7))
        for axis in layout.axes.reversed() { (steps[Int(axis.rawValue)], step) = (step, step * layout.extent(axis, layers: layers, blocks: blocks)) }
        var places = [0]
        for axis in Self.plain {
            let (extent, step) = (layout.extent(axis, layers: layers, blocks: blocks), steps[Int(axis.rawValue)])
            places = places.flatMap { place in (0..<extent).map { place + $0 * step } }
        }
        return bytes.withUnsafeBytes { bytes in
            layout.dtype == .f32
                ? places.map { bytes.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self) }
                : places.map { UInt32(bytes.loadUnaligned(fromByteOffset: $0 * 2, as: UInt16.self)) }
        }
    }

    @Test("every order of axes holds the same elements, each in its place", arguments: dtypes)
    func orders(dtype: DType) throws {
        let rig = try Rig(kv: dtype)
        try rig.run(prompt)
        let range = KVRange(layers: 0..<2, blocks: [11, 5], tokens: 16)
        let wanted = try elements(rig.export(range, as: layout(dtype, Self.plain)), layout(dtype, Self.plain), layers: 2, blocks: 2)
        #expect(Set(wanted).count > 100)
        #expect(Self.orders.count == 720)
        for axes in dtype == .f32 ? Self.orders : Array(Self.orders.shuffled(seed: 9).prefix(90)) {
            let layout = layout(dtype, axes)
            let found = try elements(rig.export(range, as: layout), layout, layers: 2, blocks: 2)
            #expect(found == wanted, "\(layout)")
        }
    }

    @Test("export then import gives the same bytes in every order of axes", arguments: dtypes)
    func roundTrips(dtype: DType) throws {
        let rig = try Rig(kv: dtype)
        let other = try Rig(rig.device, kv: dtype)
        try rig.run(prompt)
        let range = KVRange(layers: 0..<2, blocks: prompt.blocks, tokens: prompt.tokens.count)
        let there = KVRange(layers: 0..<2, blocks: [14, 3, 8], tokens: prompt.tokens.count)
        let wanted = try rig.export(range, as: layout(dtype, Self.plain))
        let zeros = [UInt8](repeating: 0, count: wanted.count)
        for axes in Self.orders.shuffled(seed: 5).prefix(60) {
            let layout = layout(dtype, axes)
            try other.take(zeros, there, as: self.layout(dtype, Self.plain))
            let bytes = try rig.export(range, as: layout)
            try other.take(bytes, there, as: layout)
            #expect(try other.export(there, as: self.layout(dtype, Self.plain)) == wanted, "\(layout)")
        }
    }

    @Test("KV cast to another dtype comes back as that cast makes it", arguments: dtypes, dtypes)
    func casts(stored: DType, sent: DType) throws {
        let rig = try Rig(kv: stored)
        let other = try Rig(rig.device, kv: stored)
        try rig.run(prompt)
        let range = KVRange(layers: 0..<2, blocks: prompt.blocks, tokens: prompt.tokens.count)
        let wide = layout(.f32, Self.plain)
        let wanted = try rig.export(range, as: wide)
        let cast = layout(sent, [.plane, .block, .dim, .layer, .token, .head])
        try other.take(rig.export(range, as: cast), range, as: cast)
        let found = try other.export(range, as: wide)
        let tolerance: Float = [DType.f32: 0, .f16: 1 / 2048, .bf16: 1 / 256][sent] ?? 0
        let least: Float = tolerance > 0 ? 1e-7 : 0
        let worst = zip(floats(found), floats(wanted)).map { pair -> Float in abs(pair.0 - pair.1) - abs(pair.1) * tolerance }.max() ?? .infinity
        #expect(worst <= least)
        if stored == .f32, sent != .f32 { #expect(found != wanted, "a cast to 16 bits loses something") }
    }

    private func floats(_ bytes: [UInt8]) -> [Float] {
        bytes.withUnsafeBytes { bytes in stride(from: 0, to: bytes.count, by: 4).map { bytes.loadUnaligned(fromByteOffset: $0, as: Float.self) } }
    }

    @Test("tokens past those that count leave as zeros and are not taken")
    func partialBlock() throws {
        let rig = try Rig()
        try rig.run(prompt)
        let layout = layout(.f32, [.layer, .block, .token, .plane, .head, .dim])
        let full = try rig.export(.init(layers: 0..<1, blocks: [5, 0], tokens: 16), as: layout)
        let part = try rig.export(.init(layers: 0..<1, blocks: [5, 0], tokens: 11), as: layout)
        let row = full.count / 16
        #expect(part[..<(11 * row)] == full[..<(11 * row)])
        #expect(part[(11 * row)...].allSatisfy { $0 == 0 })
        #expect(!full[(11 * row)...].allSatisfy { $0 == 0 })
        let ones = [UInt8](repeating: 0x3F, count: full.count)
        try rig.take(ones, .init(layers: 0..<1, blocks: [5, 0], tokens: 11), as: layout)
        let after = try rig.export(.init(layers: 0..<1, blocks: [5, 0], tokens: 16), as: layout)
        #expect(after[..<(11 * row)] == ones[..<(11 * row)])
        #expect(after[(11 * row)...] == full[(11 * row)...])
    }

    @Test("a range of some layers and blocks leaves the others as they were")
    func partialRange() throws {
        let rig = try Rig()
        try rig.run(prompt)
        let layout = layout(.f32, Self.plain)
        let all = KVRange(layers: 0..<2, blocks: Array(0..<UInt32(Rig.blockCount)), tokens: Rig.blockCount * Rig.blockTokens)
        let before = try rig.export(all, as: layout)
        let range = KVRange(layers: 1..<2, blocks: [11, 7], tokens: 16)
        let bytes = [UInt8](repeating: 0x3E, count: layout.bytesPerBlockLayer * 2)
        try rig.take(bytes, range, as: layout)
        let after = try rig.export(all, as: layout)
        let changed = stride(from: 0, to: before.count, by: layout.bytesPerBlockLayer).filter { start in
            let piece = start..<start + layout.bytesPerBlockLayer
            return before[piece] != after[piece]
        }
        #expect(changed == [16 + 7, 16 + 11].map { $0 * layout.bytesPerBlockLayer })
        #expect(try rig.export(range, as: layout) == bytes)
    }

    @Test("memory that is aligned to nothing is read and written all the same", arguments: dtypes)
    func unaligned(dtype: DType) throws {
        let rig = try Rig(kv: .f32)
        try rig.run(prompt)
        let layout = layout(dtype, [.token, .block, .dim, .plane, .head, .layer])
        let range = KVRange(layers: 0..<2, blocks: prompt.blocks, tokens: prompt.tokens.count)
        let wanted = try rig.export(range, as: layout)
        let region = try HostRegion(count: wanted.count + 8)
        for shift in [1, 3] {
            try rig.finish { try rig.pool.export(range, as: layout, to: .host(region.base + shift, count: wanted.count), sync: $0) }
            #expect(Array(region.bytes[shift..<shift + wanted.count]) == wanted)
            try rig.finish { try rig.pool.import(range, as: layout, from: .host(region.base + shift, count: wanted.count), sync: $0) }
        }
    }

    @Test("a sequence handed to a second pool decodes as it would have, on the same device and on another", arguments: [true, false])
    func handoff(sameDevice: Bool) throws {
        let rig = try Rig()
        let other = try Rig(sameDevice ? rig.device : Rig.open())
        try rig.run(prompt)
        let layouts = try rig.device.library.layouts(of: rig.pool.description, importing: true, options: rig.device.options)
        let chosen = try #require(layouts.first { $0.dtype == .f32 })
        for layer in 0..<2 {
            let range = KVRange(layers: layer..<layer + 1, blocks: prompt.blocks, tokens: prompt.tokens.count)
            try other.take(rig.export(range, as: chosen), .init(layers: range.layers, blocks: [1, 2, 3], tokens: range.tokens), as: chosen)
        }
        let wanted = try rig.run(.init(tokens: [17, 18], position: 19, blocks: [5, 0, 11]))
        #expect(try other.run(.init(tokens: [17, 18], position: 19, blocks: [1, 2, 3])) == wanted)
        #expect(try other.run(.init(tokens: [17, 18], position: 19, blocks: [1, 3, 2])) != wanted)
    }

    @Test("each layout the device lists can be exported and imported", arguments: ["f32", "f16", "bf16"])
    func listed(kv: String) throws {
        let rig = try Rig(try Rig.open(["numerics": "f32", "kv_dtype": kv]))
        #expect("\(rig.pool.description.dtype)" == kv)
        try rig.run(prompt)
        let range = KVRange(layers: 0..<2, blocks: prompt.blocks, tokens: prompt.tokens.count)
        for importing in [false, true] {
            let layouts = try rig.device.library.layouts(of: rig.pool.description, importing: importing, options: rig.device.options)
            #expect(layouts.first?.dtype == rig.pool.description.dtype, "its own storage comes first")
            #expect(Set(layouts.map(\.dtype)) == Set(Self.dtypes))
            for layout in layouts { try rig.take(rig.export(range, as: layout), range, as: layout) }
        }
    }

    @Test("a pool adopted by another device is the same storage")
    func adopt() throws {
        let rig = try Rig()
        let other = try Rig(Rig.open())
        try rig.run(prompt)
        let wanted = try rig.run(.init(tokens: [17], position: 19, blocks: prompt.blocks))
        let pool = try KVPool(adopting: rig.pool, as: rig.pool.description, on: other.device)
        let batch = other.batch([.init(tokens: [17], position: 19, blocks: prompt.blocks)])
        try other.finish(queue: 0) { try other.program.submit(batch, pool: pool, sync: $0) }
        #expect(try other.read(1) == wanted)
    }
}

extension Array {
    /// In an order from a seed.
    func shuffled(seed: UInt64) -> [Element] {
        var (random, array) = (Random(seed: seed), self)
        for index in array.indices.reversed() where index > 0 { array.swapAt(index, random.below(index + 1)) }
        return array
    }
}
