import CPUKernels
import Testing

/// Linear operations over quantised weights, of every instruction set, against sums in double.
struct QuantisedKernelTests {
    @Test("quantised blocks are dequantised as GGUF defines them", arguments: Kernels.sets, [Int32(16), 17, 18])
    func dequantise(isa: Int32, type: Int32) throws {
        var random = Kernels.Random(state: 1)
        let bytes = Kernels.blocks(type, rows: 1, inputs: 320, &random)
        var found = [Float](repeating: 0, count: 320)
        try Kernels.table(isa).dequantise(type, bytes, &found, 320)
        for (a, b) in zip(found, Kernels.expand(type, bytes)) { #expect(abs(Double(a) - b) <= abs(b) * 1e-6 + 1e-9) }
    }

    @Test("linear operations agree with sums in double, for every tail of tokens and rows", arguments: Kernels.sets, [Int32(16), 17, 18])
    func linear(isa: Int32, type: Int32) throws {
        let table = try Kernels.table(isa)
        var random = Kernels.Random(state: 2)
        for (tokens, outputs, inputs) in [(1, 1, 32), (3, 17, 64), (5, 33, 96), (8, 16, 288), (13, 40, 576), (21, 19, 160), (31, 50, 64), (44, 70, 96)] {
            let weights = Kernels.blocks(type, rows: outputs, inputs: inputs, &random)
            let exact = Kernels.expand(type, weights)
            let x = random.row(tokens * inputs)
            var rows = [Float](repeating: .nan, count: tokens * outputs)
            table.linear_rows(type, weights, inputs, 0, outputs, x, tokens, nil, &rows, outputs)
            var codes = [Int8](repeating: 0, count: tokens * inputs)
            var scales = [Float](repeating: 0, count: tokens * inputs / 32)
            var sums = scales
            var counts = [Int32](repeating: 0, count: scales.count)
            for t in 0..<tokens {
                Self.offset(&codes, &scales, &sums, &counts) { codes, scales, sums, counts in
                    x.withUnsafeBufferPointer { x in
                        guard let x = x.baseAddress else { return }
                        let at = t * inputs / 32
                        table.quantise(x + t * inputs, inputs, codes + t * inputs, scales + at, sums + at, counts + at)
                    }
                }
            }
            var quantised = [Float](repeating: .nan, count: tokens * outputs)
            let panel = cpuk_packed_bytes(type, inputs), panels = (outputs + 15) / 16
            var packed = [UInt8](repeating: 0xAA, count: panels * panel)
            for p in 0..<panels {
                packed.withUnsafeMutableBytes { table.pack(type, weights, inputs, p * 16, min(16, outputs - p * 16), $0.baseAddress.map { $0 + p * panel }) }
            }
            var scratch = [UInt8](repeating: 0, count: cpuk_opened_bytes(inputs))
            let cut = panels / 3
            Self.offset(&codes, &scales, &sums, &counts) { codes, scales, sums, counts in
                var input = cpuk_q8(values: codes, scales: scales, sums: sums, counts: counts)
                table.linear_packed(type, packed, inputs, 0, cut, outputs, &input, tokens, nil, &quantised, outputs, &scratch)
                table.linear_packed(type, packed, inputs, cut, panels, outputs, &input, tokens, nil, &quantised, outputs, &scratch)
            }
            for t in 0..<tokens {
                for o in 0..<outputs {
                    var (sum, coded, size) = (0.0, 0.0, 0.0)
                    for i in 0..<inputs {
                        let w = exact[o * inputs + i]
                        sum += w * Double(x[t * inputs + i])
                        coded += w * Double(codes[t * inputs + i]) * Double(scales[(t * inputs + i) / 32])
                        size += abs(w * Double(x[t * inputs + i]))
                    }
                    #expect(abs(Double(rows[t * outputs + o]) - sum) <= size * 1e-5 + 1e-6)
                    #expect(abs(Double(quantised[t * outputs + o]) - coded) <= size * 1e-4 + 1e-5)
                }
            }
        }
    }

    private static func offset(
        _ codes: inout [Int8], _ scales: inout [Float], _ sums: inout [Float], _ counts: inout [Int32],
        _ body: (UnsafeMutablePointer<Int8>, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Int32>) -> Void
    ) {
        codes.withUnsafeMutableBufferPointer { a in
            scales.withUnsafeMutableBufferPointer { b in
                sums.withUnsafeMutableBufferPointer { c in
                    counts.withUnsafeMutableBufferPointer { d in
                        guard let a = a.baseAddress, let b = b.baseAddress, let c = c.baseAddress, let d = d.baseAddress else { return }
                        body(a, b, c, d)
                    }
                }
            }
        }
    }

    @Test("a NaN or an infinite activation stays visible in what it meets", arguments: Kernels.sets)
    func odd(isa: Int32) throws {
        let table = try Kernels.table(isa)
        var random = Kernels.Random(state: 3)
        let weights = Kernels.blocks(18, rows: 4, inputs: 64, &random)
        for bad in [Float.nan, .infinity] {
            var x = random.row(64)
            x[40] = bad
            var codes = [Int8](repeating: 0, count: 64)
            var (scales, sums) = ([Float](repeating: 0, count: 2), [Float](repeating: 0, count: 2))
            var counts = [Int32](repeating: 0, count: 2)
            table.quantise(x, 64, &codes, &scales, &sums, &counts)
            #expect(!scales[1].isFinite)
            var out = [Float](repeating: 0, count: 4)
            table.linear_rows(18, weights, 64, 0, 4, x, 1, nil, &out, 4)
            #expect(out.allSatisfy { !$0.isFinite })
        }
    }

    /// Quantises one row.
    private func quantised(_ table: cpuk_table, _ x: [Float]) -> (codes: [Int8], scales: [Float], sums: [Float], counts: [Int32]) {
        var codes = [Int8](repeating: 1, count: x.count)
        var (scales, sums) = ([Float](repeating: .nan, count: x.count / 32), [Float](repeating: .nan, count: x.count / 32))
        var counts = [Int32](repeating: .min, count: x.count / 32)
        table.quantise(x, x.count, &codes, &scales, &sums, &counts)
        return (codes, scales, sums, counts)
    }

    @Test("activations of any size are coded within 127 and half a step, and blocks of zeros stay zero", arguments: Kernels.sets)
    func coding(isa: Int32) throws {
        let table = try Kernels.table(isa)
        var random = Kernels.Random(state: 5)
        for size in [Float(1e-30), 1e-6, 1, 1e6, 1e30] {
            let x = random.row(96).map { $0 * size } + [Float](repeating: 0, count: 32)
            let found = quantised(table, x)
            for (index, value) in x.enumerated() {
                let scale = found.scales[index / 32], code = found.codes[index]
                #expect(code >= -127 && code <= 127)
                #expect(abs(Double(code) * Double(scale) - Double(value)) <= 0.501 * Double(scale) + 1e-38, "\(value)")
            }
            for block in 0..<4 {
                let sum = found.codes[block * 32..<block * 32 + 32].reduce(0) { $0 + Int32($1) }
                #expect(found.counts[block] == sum)
                #expect(abs(found.sums[block] - found.scales[block] * Float(sum)) <= abs(found.sums[block]) * 1e-6)
            }
            #expect(found.codes[96...].allSatisfy { $0 == 0 } && found.sums[3] == 0)
        }
    }

    @Test("the largest codes against the largest activations do not overflow, over a long row", arguments: Kernels.sets, [Int32(16), 17, 18])
    func saturation(isa: Int32, type: Int32) throws {
        let table = try Kernels.table(isa)
        let inputs = 8192, block = type == 16 ? 18 : type == 17 ? 20 : 34
        for (sign, code) in [(Float(1), UInt8(type == 18 ? 0x7F : 0xFF)), (-1, type == 18 ? 0x80 : 0)] {
            var row: [UInt8] = []
            for _ in 0..<inputs / 32 {
                // Scale 1, and for Q4_1 a minimum of 1.
                row += [0x00, 0x3C] + (type == 17 ? [0x00, 0x3C] : []) + [UInt8](repeating: code, count: block - (type == 17 ? 4 : 2))
            }
            let x = [Float](repeating: sign * 1000, count: inputs)
            var found = quantised(table, x)
            var packed = [UInt8](repeating: 0, count: cpuk_packed_bytes(type, inputs)), out: [Float] = [0]
            table.pack(type, row, inputs, 0, 1, &packed)
            var scratch = [UInt8](repeating: 0, count: cpuk_opened_bytes(inputs))
            Self.offset(&found.codes, &found.scales, &found.sums, &found.counts) { codes, scales, sums, counts in
                var input = cpuk_q8(values: codes, scales: scales, sums: sums, counts: counts)
                table.linear_packed(type, packed, inputs, 0, 1, 1, &input, 1, nil, &out, 1, &scratch)
            }
            let exact = Kernels.expand(type, row).reduce(0, +) * Double(sign) * 1000
            #expect(abs(Double(out[0]) - exact) <= abs(exact) * 1e-5, "\(out[0]), not \(exact)")
        }
    }
}
