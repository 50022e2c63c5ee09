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
            var counts = [Int32](repeating: 0, count: scales.count)
            var joined = counts
            for t in 0..<tokens {
                Self.offset(&codes, &scales, &counts, &joined) { codes, scales, counts, joined in
                    x.withUnsafeBufferPointer { x in
                        guard let x = x.baseAddress else { return }
                        let at = t * inputs / 32
                        table.quantise(x + t * inputs, inputs, codes + t * inputs, scales + at, counts + at, joined + at)
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
            Self.offset(&codes, &scales, &counts, &joined) { codes, scales, counts, joined in
                var input = cpuk_q8(values: codes, scales: scales, counts: counts, joined: joined)
                table.linear_packed(type, packed, inputs, 0, cut, outputs, &input, tokens, nil, &quantised, outputs, &scratch, nil)
                table.linear_packed(type, packed, inputs, cut, panels, outputs, &input, tokens, nil, &quantised, outputs, &scratch, nil)
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
        _ codes: inout [Int8], _ scales: inout [Float], _ counts: inout [Int32], _ joined: inout [Int32],
        _ body: (UnsafeMutablePointer<Int8>, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Int32>, UnsafeMutablePointer<Int32>) -> Void
    ) {
        codes.withUnsafeMutableBufferPointer { a in
            scales.withUnsafeMutableBufferPointer { b in
                counts.withUnsafeMutableBufferPointer { c in
                    joined.withUnsafeMutableBufferPointer { d in
                        guard let a = a.baseAddress, let b = b.baseAddress, let c = c.baseAddress, let d = d.baseAddress else { return }
                        body(a, b, c, d)
                    }
                }
            }
        }
    }

    @Test("what is asked of memory meanwhile changes no result, is whole blocks in their order, and ends with the last of them", arguments: Kernels.sets)
    func asking(isa: Int32) throws {
        let table = try Kernels.table(isa)
        var random = Kernels.Random(state: 77)
        let (inputs, outputs, tokens) = (128, 96, 19)
        let type = Int32(CPUK_Q4_1.rawValue)
        let weights = Kernels.blocks(type, rows: outputs, inputs: inputs, &random)
        let panel = cpuk_packed_bytes(type, inputs)
        var packed = [UInt8](repeating: 0, count: outputs / 16 * panel)
        for p in 0..<outputs / 16 {
            packed.withUnsafeMutableBytes { table.pack(type, weights, inputs, p * 16, 16, $0.baseAddress.map { $0 + p * panel }) }
        }
        let x = random.row(tokens * inputs)
        var (codes, scales) = ([Int8](repeating: 0, count: tokens * inputs), [Float](repeating: 0, count: tokens * inputs / 32))
        var counts = [Int32](repeating: 0, count: scales.count), joined = [Int32](repeating: 0, count: scales.count)
        table.quantise(x, tokens * inputs, &codes, &scales, &counts, &joined)
        var scratch = [UInt8](repeating: 0, count: cpuk_opened_bytes(inputs))
        let memory = [UInt8](repeating: 0, count: 8 * 4096)
        var results: [[Float]] = []
        for blocks in [[], [3, 0, 5], [UInt32](repeating: 1, count: 4000)] as [[UInt32]] {
            var out = [Float](repeating: .nan, count: tokens * outputs)
            Self.offset(&codes, &scales, &counts, &joined) { codes, scales, counts, joined in
                memory.withUnsafeBufferPointer { memory in
                    blocks.withUnsafeBufferPointer { blocks in
                        var input = cpuk_q8(values: codes, scales: scales, counts: counts, joined: joined)
                        var ask = cpuk_ask(
                            base: memory.baseAddress, blocks: blocks.baseAddress, stride: 4096, bytes: 4096, at: 0, next: 0, last: UInt32(blocks.count))
                        table.linear_packed(type, packed, inputs, 0, outputs / 16, outputs, &input, tokens, nil, &out, outputs, &scratch, &ask)
                        #expect(ask.next <= ask.last && ask.at < ask.bytes)
                        if blocks.count < 4 { #expect(ask.next == ask.last) } else { #expect(ask.next > 0 && ask.next < ask.last) }
                    }
                }
            }
            results.append(out)
        }
        #expect(results[0].allSatisfy(\.isFinite) && results[1] == results[0] && results[2] == results[0])
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
            var scales = [Float](repeating: 0, count: 2)
            var (counts, joined) = ([Int32](repeating: 0, count: 2), [Int32](repeating: 0, count: 2))
            table.quantise(x, 64, &codes, &scales, &counts, &joined)
            #expect(!scales[1].isFinite)
            var out = [Float](repeating: 0, count: 4)
            table.linear_rows(18, weights, 64, 0, 4, x, 1, nil, &out, 4)
            #expect(out.allSatisfy { !$0.isFinite })
        }
    }

    /// Quantises one row.
    private func quantised(_ table: cpuk_table, _ x: [Float]) -> (codes: [Int8], scales: [Float], counts: [Int32], joined: [Int32]) {
        var codes = [Int8](repeating: 1, count: x.count)
        var scales = [Float](repeating: .nan, count: x.count / 32)
        var (counts, joined) = ([Int32](repeating: .min, count: scales.count), [Int32](repeating: .min, count: scales.count))
        table.quantise(x, x.count, &codes, &scales, &counts, &joined)
        return (codes, scales, counts, joined)
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
                #expect(found.joined[block] == sum * 65536 + 32768 - 8 * sum)
            }
            #expect(found.codes[96...].allSatisfy { $0 == 0 } && found.counts[3] == 0)
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
            Self.offset(&found.codes, &found.scales, &found.counts, &found.joined) { codes, scales, counts, joined in
                var input = cpuk_q8(values: codes, scales: scales, counts: counts, joined: joined)
                table.linear_packed(type, packed, inputs, 0, 1, 1, &input, 1, nil, &out, 1, &scratch, nil)
            }
            let exact = Kernels.expand(type, row).reduce(0, +) * Double(sign) * 1000
            // What Q4_1's weights may differ by: 4.5 of the row's units, of which 1 + 8 * 1 is 32767.
            let unit = type == 17 ? 4.5 * 9 / 32767 * Double(inputs) * 1000 : 0
            #expect(abs(Double(out[0]) - exact) <= abs(exact) * 1e-5 + unit, "\(out[0]), not \(exact)")
        }
    }

    @Test("a packed Q4_1 weight differs by at most 4.5 units of its row, whatever its blocks' scales and minima, and a row of zeros is zero", arguments: Kernels.sets)
    func units(isa: Int32) throws {
        let table = try Kernels.table(isa)
        var random = Kernels.Random(state: 8)
        for magnitude in [0, 1, 3] {
            // Scales and minima that are apart by up to 2^(4 * magnitude); the last row is all zeros.
            var weights = (0..<15 * 4).flatMap { _ -> [UInt8] in
                let half = { UInt8(0x20 + Int(random.byte()) % (1 + 16 * magnitude) | Int(random.byte()) & 0x80) }
                return [random.byte(), half(), random.byte(), half()] + (0..<16).map { _ in random.byte() }
            }
            weights += [UInt8](repeating: 0, count: 4 * 20)
            let exact = Kernels.expand(17, weights)
            var packed = [UInt8](repeating: 0xAA, count: cpuk_packed_bytes(17, 128)), scratch = [UInt8](repeating: 0, count: cpuk_opened_bytes(128))
            table.pack(17, weights, 128, 0, 16, &packed)
            for input in stride(from: 0, to: 128, by: 7) {
                var found = quantised(table, (0..<128).map { $0 == input ? 127 : 0 })
                var out = [Float](repeating: .nan, count: 16)
                Self.offset(&found.codes, &found.scales, &found.counts, &found.joined) { codes, scales, counts, joined in
                    var one = cpuk_q8(values: codes, scales: scales, counts: counts, joined: joined)
                    table.linear_packed(17, packed, 128, 0, 1, 16, &one, 1, nil, &out, 16, &scratch, nil)
                }
                for row in 0..<16 {
                    let blocks = stride(from: row * 80, to: row * 80 + 80, by: 20).map { b in
                        (Kernels.half(weights[b], weights[b + 1]), Kernels.half(weights[b + 2], weights[b + 3]))
                    }
                    let unit = blocks.map { max(abs($0.0), abs($0.1 + 8 * $0.0)) }.reduce(0, max) / 32767
                    let wanted = exact[row * 128 + input]
                    #expect(abs(Double(out[row]) / 127 - wanted) <= 4.5 * unit + abs(wanted) * 1e-6, "row \(row), input \(input)")
                }
            }
        }
    }

    @Test("a scale or minimum that is not a number or infinite stays visible in its row, and in no other", arguments: Kernels.sets)
    func oddWeights(isa: Int32) throws {
        let table = try Kernels.table(isa)
        var random = Kernels.Random(state: 9)
        for (place, bits) in [(1, UInt8(0x7C)), (1, 0x7E), (3, 0xFC), (3, 0x7E)] {
            var weights = Kernels.blocks(17, rows: 16, inputs: 64, &random)
            weights[5 * 40 + 20 + place - 1] = 0
            weights[5 * 40 + 20 + place] = bits
            var packed = [UInt8](repeating: 0, count: cpuk_packed_bytes(17, 64)), scratch = [UInt8](repeating: 0, count: cpuk_opened_bytes(64))
            table.pack(17, weights, 64, 0, 16, &packed)
            var found = quantised(table, random.row(64)), out = [Float](repeating: 0, count: 16)
            Self.offset(&found.codes, &found.scales, &found.counts, &found.joined) { codes, scales, counts, joined in
                var one = cpuk_q8(values: codes, scales: scales, counts: counts, joined: joined)
                table.linear_packed(17, packed, 64, 0, 1, 16, &one, 1, nil, &out, 16, &scratch, nil)
            }
            for row in 0..<16 { #expect(out[row].isFinite == (row != 5), "row \(row) is \(out[row])") }
        }
    }
}
