import CPUKernels
import Testing

/// Linear operations over weights in plain types, of every instruction set, against sums in double, over seeded shapes and odd addresses.
struct DenseKernelTests {
    private static func bits(_ type: Int32, _ values: [Float]) -> (bytes: [UInt8], kept: [Float]) {
        var bytes: [UInt8] = [], kept: [Float] = []
        for value in values {
            let (pattern, back, size): (UInt32, Float, Int) = switch type {
            case 1: (value.bitPattern, value, 4)
            case 2: (UInt32(Float16(value).bitPattern), Float(Float16(value)), 2)
            default: (value.bitPattern >> 16, Float(bitPattern: value.bitPattern & 0xFFFF_0000), 2)
            }
            for byte in 0..<size { bytes.append(UInt8(truncatingIfNeeded: pattern >> (8 * byte))) }
            kept.append(back)
        }
        return (bytes, kept)
    }

    private struct Shape {
        var tokens, outputs, inputs: Int
        init(_ random: inout Kernels.Random) {
            func between(_ low: Int, _ high: Int) -> Int { low + Int(abs(random.next()) * 1e6) % (high - low + 1) }
            (tokens, outputs, inputs) = (between(1, 36), between(1, 50), 2 * between(1, 130))
        }
    }

    private func expectSums(_ shape: Shape, _ w: [Float], _ x: [Float], _ bias: [Float], _ found: [Float], _ what: String) {
        for t in 0..<shape.tokens {
            for o in 0..<shape.outputs {
                var (sum, size) = (Double(bias[o]), 0.0)
                for i in 0..<shape.inputs {
                    let product = Double(w[o * shape.inputs + i]) * Double(x[t * shape.inputs + i])
                    (sum, size) = (sum + product, size + abs(product))
                }
                let value = Double(found[t * shape.outputs + o])
                if !(abs(value - sum) <= size * 1e-5 + 1e-6) {
                    Issue.record("\(what): \(shape), token \(t), output \(o): \(value), not \(sum)")
                    return
                }
            }
        }
    }

    @Test("what a token gives by panels is the same, bit for bit, whatever runs beside it", arguments: Kernels.sets, [Int32(1), 2, 3])
    func alone(isa: Int32, type: Int32) throws {
        let table = try Kernels.table(isa)
        var random = Kernels.Random(state: UInt64(80 + type))
        for (tokens, inputs) in [(13, 576), (8, 131), (7, 3)] {
            let (panel, _) = Self.bits(type, random.row(inputs * 16))
            let (x, bias) = (random.row(tokens * inputs), random.row(16))
            var (all, one) = ([Float](repeating: .nan, count: tokens * 16), [Float](repeating: .nan, count: 16))
            table.linear_panel(type, panel, inputs, 16, x, tokens, bias, &all, 16)
            for token in 0..<tokens {
                table.linear_panel(type, panel, inputs, 16, Array(x[token * inputs..<(token + 1) * inputs]), 1, bias, &one, 16)
                #expect(one.map(\.bitPattern) == all[token * 16..<(token + 1) * 16].map(\.bitPattern), "token \(token) of \(tokens), \(inputs) inputs")
            }
        }
    }

    @Test("rows in plain types agree with sums in double", arguments: Kernels.sets, [Int32(1), 2, 3])
    func rows(isa: Int32, type: Int32) throws {
        let table = try Kernels.table(isa)
        var random = Kernels.Random(state: UInt64(40 + type))
        for _ in 0..<8 {
            let shape = Shape(&random)
            let (bytes, kept) = Self.bits(type, random.row(shape.outputs * shape.inputs))
            let (x, bias) = (random.row(shape.tokens * shape.inputs), random.row(shape.outputs))
            var out = [Float](repeating: .nan, count: shape.tokens * shape.outputs)
            let cut = shape.outputs / 2
            for range in [0..<cut, cut..<shape.outputs] {
                table.linear_rows(type, bytes, shape.inputs, range.lowerBound, range.upperBound, x, shape.tokens, bias, &out, shape.outputs)
            }
            expectSums(shape, kept, x, bias, out, "rows of type \(type)")
        }
    }

    @Test("panels of f32 and f16 and pairs of bf16 agree with sums in double", arguments: Kernels.sets, [Int32(1), 2, 3])
    func panels(isa: Int32, type: Int32) throws {
        let pointer = try Kernels.pointer(isa)
        let table = pointer.pointee
        var random = Kernels.Random(state: UInt64(50 + type))
        for _ in 0..<8 {
            let shape = Shape(&random)
            let (bytes, kept) = Self.bits(type, random.row(shape.outputs * shape.inputs))
            let (wide, bias) = (random.row(shape.tokens * shape.inputs), random.row(shape.outputs))
            let panels = (shape.outputs + 15) / 16, panel = cpuk_bytes(type, 16 * shape.inputs)
            var packed = [UInt8](repeating: 0xAA, count: panels * panel), row = [Float](repeating: 0, count: shape.inputs)
            var out = [Float](repeating: .nan, count: shape.tokens * shape.outputs)
            for p in 0..<panels {
                packed.withUnsafeMutableBytes {
                    cpuk_pack_panel(pointer, type, bytes, shape.inputs, p * 16, min(16, shape.outputs - p * 16), type, $0.baseAddress.map { $0 + p * panel }, &row)
                }
            }
            guard type == 3 else {
                for p in 0..<panels {
                    packed.withUnsafeBytes { packed in
                        bias.withUnsafeBufferPointer { bias in
                            out.withUnsafeMutableBufferPointer { out in
                                table.linear_panel(
                                    type, packed.baseAddress.map { $0 + p * panel }, shape.inputs, min(16, shape.outputs - p * 16), wide, shape.tokens,
                                    bias.baseAddress.map { $0 + p * 16 }, out.baseAddress.map { $0 + p * 16 }, shape.outputs)
                            }
                        }
                    }
                }
                expectSums(shape, kept, wide, bias, out, "panels of type \(type)")
                continue
            }
            let (narrow, x) = (wide.map { UInt16($0.bitPattern >> 16) }, wide.map { Float(bitPattern: $0.bitPattern & 0xFFFF_0000) })
            table.linear_pairs(packed, shape.inputs, 0, panels / 2, shape.outputs, narrow, shape.tokens, bias, &out, shape.outputs)
            table.linear_pairs(packed, shape.inputs, panels / 2, panels, shape.outputs, narrow, shape.tokens, bias, &out, shape.outputs)
            expectSums(shape, kept, x, bias, out, "pairs")
        }
    }

    @Test("rows as they are stored give what a panel of them in f32 gives, bit for bit, whatever runs beside them", arguments: Kernels.sets, [Int32(1), 2, 3, 16, 17, 18])
    func rowsAsPanels(isa: Int32, type: Int32) throws {
        let pointer = try Kernels.pointer(isa), table = pointer.pointee
        var random = Kernels.Random(state: 31)
        for (outputs, inputs) in [(16, 64), (21, 96), (1, 32), (37, type < 16 ? 77 : 160)] {
            let weights = type >= 16
                ? Kernels.blocks(type, rows: outputs, inputs: inputs, &random)
                : random.row(outputs * inputs).flatMap { value in
                    type == 1 ? withUnsafeBytes(of: value, Array.init) : type == 2 ? withUnsafeBytes(of: Float16(value), Array.init)
                        : withUnsafeBytes(of: UInt16(truncatingIfNeeded: value.bitPattern >> 16), Array.init)
                }
            let (x, bias) = (random.row(9 * inputs), random.row(outputs))
            var panel = [Float](repeating: 0, count: inputs * 16), row = [Float](repeating: 0, count: inputs)
            for tokens in [1, 3, 4, 9] {
                var (plain, packed) = ([Float](repeating: .nan, count: tokens * outputs), [Float](repeating: .nan, count: tokens * outputs))
                table.linear_rows(type, weights, inputs, 0, outputs, x, tokens, bias, &plain, outputs)
                for first in stride(from: 0, to: outputs, by: 16) {
                    let width = min(16, outputs - first)
                    cpuk_pack_panel(pointer, type, weights, inputs, first, width, 1, &panel, &row)
                    packed.withUnsafeMutableBufferPointer { out in
                        bias.withUnsafeBufferPointer { bias in
                            table.linear_panel(1, panel, inputs, width, x, tokens, bias.baseAddress.map { $0 + first }, out.baseAddress.map { $0 + first }, outputs)
                        }
                    }
                }
                #expect(plain.map(\.bitPattern) == packed.map(\.bitPattern), "\(outputs) by \(inputs), \(tokens) tokens")
            }
        }
    }
}
