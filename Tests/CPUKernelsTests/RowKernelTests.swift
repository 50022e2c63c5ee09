import CPUKernels
import Testing

/// Kernels of single rows, of every instruction set, against their definitions.
struct RowKernelTests {
    @Test("rounding to f16 and bf16 is to nearest even", arguments: Kernels.sets)
    func rounding(isa: Int32) throws {
        let table = try Kernels.table(isa)
        var random = Kernels.Random(state: 4)
        let x = random.row(1000).map { $0 * 100 } + [0, -0.0, 1, 65504, 65520, 1e-8, 6e-8, .infinity, -.infinity]
        var bits = [UInt16](repeating: 0, count: x.count)
        table.narrow(2, x, &bits, x.count)
        for (value, found) in zip(x, bits) { #expect(found == Float16(value).bitPattern, "\(value)") }
        var wide = [Float](repeating: 0, count: x.count)
        table.widen(2, bits, &wide, x.count)
        for (found, half) in zip(wide, bits) { #expect(found == Float(Float16(bitPattern: half))) }
        table.narrow(3, x, &bits, x.count)
        table.widen(3, bits, &wide, x.count)
        for (value, found) in zip(x, wide) where value.isFinite { #expect(abs(found - value) <= abs(value) / 256) }
    }

    @Test("swiglu and the norm are their definitions", arguments: Kernels.sets)
    func elementwise(isa: Int32) throws {
        let table = try Kernels.table(isa)
        let gate = (-400...400).map { Float($0) / 4 }
        let up = gate.map { $0 / 50 + 1 }
        var out = [Float](repeating: 0, count: gate.count)
        table.swiglu(gate, up, &out, gate.count)
        for (index, found) in out.enumerated() {
            let g = Double(gate[index])
            let exact = g / (1 + Kernels.exponential(-g)) * Double(up[index])
            #expect(abs(Double(found) - exact) <= abs(exact) * 1e-5 + 1e-30, "\(g)")
        }
        let weight = up.map { $0 * 2 }
        table.rms_norm(gate, weight, 1e-5, &out, gate.count)
        let mean = gate.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(gate.count)
        for index in gate.indices { #expect(abs(Double(out[index]) - Double(gate[index] * weight[index]) / (mean + 1e-5).squareRoot()) < 1e-3) }
    }

    @Test("a copy past the caches is a copy, at every alignment and length, and writes nothing beside it")
    func pastCaches() {
        let source = (0..<400).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ 11) }
        for (from, to) in [(0, 0), (1, 0), (0, 1), (3, 63), (17, 40)] {
            for count in [0, 1, 15, 63, 64, 65, 127, 128, 200, 300] {
                var target = [UInt8](repeating: 0xEE, count: 400)
                source.withUnsafeBytes { source in
                    target.withUnsafeMutableBytes { target in
                        guard let source = source.baseAddress, let target = target.baseAddress else { return }
                        cpuk_copy_past_caches(target + to, source + from, count)
                    }
                }
                let expected = [UInt8](repeating: 0xEE, count: to) + source[from..<from + count] + [UInt8](repeating: 0xEE, count: 400 - to - count)
                #expect(target == expected, "\(count) bytes from \(from) to \(to)")
            }
        }
    }
}
