import Driver
@testable import Engine
import Testing

/// KV from any layout to any other, against a plain definition.
struct KVConversionTests {
    private static let orders: [[KVAxis]] = [
        [.layer, .block, .plane, .head, .token, .dim], [.layer, .block, .plane, .head, .dim, .token], [.layer, .plane, .head, .block, .token, .dim],
        [.block, .layer, .token, .plane, .dim, .head], [.dim, .token, .head, .plane, .block, .layer],
    ]

    private static func layout(_ axes: [KVAxis], _ dtype: DType, blockTokens: Int) -> KVLayout {
        KVLayout(dtype: dtype, axes: axes, blockTokens: blockTokens, kvHeads: 3, headDim: 8, layers: 2)
    }

    /// The offset of an element by the layout's own words.
    private static func offset(_ l: KVLayout, _ layers: Int, _ blocks: Int, _ place: [KVAxis: Int]) -> Int {
        l.axes.reduce(0) { $0 * l.extent($1, layers: layers, blocks: blocks) + (place[$1] ?? 0) }
    }

    private static func value(_ layer: Int, _ plane: Int, _ head: Int, _ token: Int, _ dim: Int) -> Float {
        Float((layer * 7 + plane * 5 + head * 3 + token * 11 + dim) % 97) / 8 - 5
    }

    private static func bytes(_ l: KVLayout, layers: Int, tokens: Int) -> [UInt8] {
        let blocks = l.blocks(for: tokens)
        var bytes = [UInt8](repeating: 0, count: layers * blocks * l.bytesPerBlockLayer)
        bytes.withUnsafeMutableBytes { raw in
            for layer in 0..<layers { for plane in 0..<2 { for head in 0..<l.kvHeads { for token in 0..<tokens { for dim in 0..<l.headDim {
                let place: [KVAxis: Int] = [.layer: layer, .block: token / l.blockTokens, .plane: plane, .head: head, .token: token % l.blockTokens, .dim: dim]
                let at = offset(l, layers, blocks, place)
                let value = value(layer, plane, head, token, dim)
                switch l.dtype {
                case .f32: raw.storeBytes(of: value, toByteOffset: at * 4, as: Float.self)
                case .f16: raw.storeBytes(of: FloatBits.f16(value), toByteOffset: at * 2, as: UInt16.self)
                default: raw.storeBytes(of: FloatBits.bf16(value), toByteOffset: at * 2, as: UInt16.self)
                }
            } } } } }
        }
        return bytes
    }

    @Test("every order of axes, block size and dtype converts to every other exactly where the values allow it", arguments: [DType.f32, .f16, .bf16], [DType.f32, .f16, .bf16])
    func all(from: DType, to: DType) {
        for a in Self.orders { for b in Self.orders { for (old, new) in [(4, 4), (8, 4), (4, 8), (4, 6)] { for tokens in [1, 4, 11, 24] {
            let (source, target) = (Self.layout(a, from, blockTokens: old), Self.layout(b, to, blockTokens: new))
            let input = Self.bytes(source, layers: 2, tokens: tokens)
            let wanted = Self.bytes(target, layers: 2, tokens: tokens)
            var found = [UInt8](repeating: 0xAA, count: wanted.count)
            input.withUnsafeBytes { input in
                found.withUnsafeMutableBytes { KVConversion(from: source, to: target).run(input, to: $0, layers: 2, tokens: tokens) }
            }
            #expect(found == wanted, "\(source) -> \(target), \(tokens) tokens")
        } } } }
    }

    @Test("f16 rounds to nearest even, keeps NaN, and stops at the largest finite value")
    func rounding() {
        #expect(FloatBits.f16(1) == 0x3C00)
        #expect(FloatBits.f16(65504) == 0x7BFF)
        #expect(FloatBits.f16(1e9) == 0x7BFF)
        #expect(FloatBits.f16(-.infinity) == 0xFBFF)
        #expect(FloatBits.f16(1 + 0x1p-11) == 0x3C00)
        #expect(FloatBits.f16(1 + 0x3p-11) == 0x3C02)
        #expect(FloatBits.f16(0x1p-24) == 1)
        #expect(FloatBits.fromF16(FloatBits.f16(.nan)).isNaN)
        for bits in UInt16(0)..<0x7C00 { #expect(FloatBits.f16(FloatBits.fromF16(bits)) == bits) }
    }

    @Test("the plan takes the pair of layouts with the least to do, and says what that is")
    func plan() throws {
        let trn = Self.layout(Self.orders[1], .bf16, blockTokens: 32)
        let wse = Self.layout(Self.orders[2], .f16, blockTokens: 16)
        let plan = try HandoffPlan(exports: [trn], imports: [wse])
        #expect(plan.description == "permute+regroup+cast bf16->f16")
        #expect(plan.tokenStep == 32)
        #expect(try HandoffPlan(exports: [trn, wse], imports: [wse]).description == "identity")
        #expect(try HandoffPlan(exports: [wse], imports: [wse], sharesMemory: true).description == "adopt")
        #expect(try HandoffPlan(exports: [trn, wse], imports: [wse], wire: .bf16).from == trn)
        #expect(throws: EngineError.self) { try HandoffPlan(exports: [trn], imports: [wse], wire: .f32) }
        var other = wse
        other.kvHeads = 4
        #expect(throws: EngineError.self) { try HandoffPlan(exports: [trn], imports: [other]) }
    }
}
