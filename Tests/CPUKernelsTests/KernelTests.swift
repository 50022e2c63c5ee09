import CPUKernels
import Testing

/// The kernels of every instruction set this machine has, against plain definitions.
struct KernelTests {
    private static let tables: [Int32] = [0, 1, 2].filter { cpuk_for($0) != nil }

    private struct Random {
        var state: UInt64
        mutating func next() -> Float {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Float(Int32(truncatingIfNeeded: state >> 33)) / Float(1 << 30)
        }
        mutating func row(_ count: Int) -> [Float] { (0..<count).map { _ in next() } }
        mutating func byte() -> UInt8 {
            _ = next()
            return UInt8(truncatingIfNeeded: state >> 40)
        }
    }

    private static func table(_ isa: Int32) throws -> cpuk_table { try #require(cpuk_for(isa)).pointee }

    /// Rows of random blocks of a type: any codes, sane scales.
    private static func blocks(_ type: Int32, rows: Int, inputs: Int, _ random: inout Random) -> [UInt8] {
        let bytes = type == 16 ? 18 : type == 17 ? 20 : 34
        return (0..<rows * inputs / 32).flatMap { _ -> [UInt8] in
            var block = (0..<bytes).map { _ in random.byte() }
            (block[0], block[1]) = (block[0], 0x20 | block[1] & 0x83)
            if type == 17 { (block[2], block[3]) = (block[2], 0xA0 & block[3] | 0x20) }
            return block
        }
    }

    private static func half(_ low: UInt8, _ high: UInt8) -> Double { Double(Float16(bitPattern: UInt16(low) | UInt16(high) << 8)) }

    /// A block's values as GGUF defines them.
    private static func values(_ type: Int32, _ block: ArraySlice<UInt8>) -> [Double] {
        let b = Array(block)
        let scale = half(b[0], b[1])
        if type == 18 { return b[2...].map { scale * Double(Int8(bitPattern: $0)) } }
        let packed = b[(type == 16 ? 2 : 4)...]
        let codes: [Double] = packed.map { Double($0 & 15) } + packed.map { Double($0 >> 4) }
        if type == 16 { return codes.map { scale * ($0 - 8) } }
        let minimum = half(b[2], b[3])
        return codes.map { scale * $0 + minimum }
    }

    private static func expand(_ type: Int32, _ bytes: [UInt8]) -> [Double] {
        let size = type == 16 ? 18 : type == 17 ? 20 : 34
        return stride(from: 0, to: bytes.count, by: size).flatMap { values(type, bytes[$0..<$0 + size]) }
    }

    @Test("quantised blocks are dequantised as GGUF defines them", arguments: tables, [Int32(16), 17, 18])
    func dequantise(isa: Int32, type: Int32) throws {
        var random = Random(state: 1)
        let bytes = Self.blocks(type, rows: 1, inputs: 320, &random)
        var found = [Float](repeating: 0, count: 320)
        try Self.table(isa).dequantise(type, bytes, &found, 320)
        for (a, b) in zip(found, Self.expand(type, bytes)) { #expect(abs(Double(a) - b) <= abs(b) * 1e-6 + 1e-9) }
    }

    @Test("linear operations agree with sums in double, for every tail of tokens and rows", arguments: tables, [Int32(16), 17, 18])
    func linear(isa: Int32, type: Int32) throws {
        let table = try Self.table(isa)
        var random = Random(state: 2)
        for (tokens, outputs, inputs) in [(1, 1, 32), (3, 17, 64), (5, 33, 96), (8, 16, 288), (13, 40, 576), (21, 19, 160), (31, 50, 64), (44, 70, 96)] {
            let weights = Self.blocks(type, rows: outputs, inputs: inputs, &random)
            let exact = Self.expand(type, weights)
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

    @Test("a NaN or an infinite activation stays visible in what it meets", arguments: tables)
    func odd(isa: Int32) throws {
        let table = try Self.table(isa)
        var random = Random(state: 3)
        let weights = Self.blocks(18, rows: 4, inputs: 64, &random)
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

    @Test("rounding to f16 and bf16 is to nearest even", arguments: tables)
    func rounding(isa: Int32) throws {
        let table = try Self.table(isa)
        var random = Random(state: 4)
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

    @Test("swiglu and the norm are their definitions", arguments: tables)
    func elementwise(isa: Int32) throws {
        let table = try Self.table(isa)
        let gate = (-400...400).map { Float($0) / 4 }
        let up = gate.map { $0 / 50 + 1 }
        var out = [Float](repeating: 0, count: gate.count)
        table.swiglu(gate, up, &out, gate.count)
        for (index, found) in out.enumerated() {
            let g = Double(gate[index])
            let exact = g / (1 + exponential(-g)) * Double(up[index])
            #expect(abs(Double(found) - exact) <= abs(exact) * 1e-5 + 1e-30, "\(g)")
        }
        let weight = up.map { $0 * 2 }
        table.rms_norm(gate, weight, 1e-5, &out, gate.count)
        let mean = gate.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(gate.count)
        for index in gate.indices { #expect(abs(Double(out[index]) - Double(gate[index] * weight[index]) / (mean + 1e-5).squareRoot()) < 1e-3) }
    }

    private func exponential(_ x: Double) -> Double {
        var (sum, term, r) = (1.0, 1.0, x)
        var halvings = 0
        while abs(r) > 0.5 {
            r /= 2
            halvings += 1
        }
        for n in 1..<25 {
            term *= r / Double(n)
            sum += term
        }
        for _ in 0..<halvings { sum *= sum }
        return sum
    }
}
