import CPUKernels
import Testing

/// Attention of every instruction set against the softmax of all scores in double, over seeded shapes.
struct AttentionKernelTests {
    /// A pool of one layer with one sequence in it, blocks in reverse order, and the tokens of one task.
    private struct Case {
        var dim, kvHeads, group, blockTokens, past, count: Int
        var type: Int32
        var window: UInt32
        var cap: Float
        var q: [Float]
        /// K and V as the pool gives them back: [head][position][dim].
        var keys: [[[Float]]] = []
        var values: [[[Float]]] = []
        var pool: [UInt8] = []
        var table: [UInt32] = []
        var positions: [UInt32]

        var heads: Int { kvHeads * group }
        var total: Int { past + count }
        var elementBytes: Int { type == 1 ? 4 : 2 }
        var blockBytes: Int { 2 * kvHeads * blockTokens * dim * elementBytes }

        /// `plain`: two KV heads of two heads each, 400 positions of which eight are the task's, every one seen as it is.
        init(_ random: inout Kernels.Random, type: Int32, fast: Bool, plain: Bool = false) {
            func between(_ low: Int, _ high: Int) -> Int { low + Int(abs(random.next()) * 1e6) % (high - low + 1) }
            self.type = type
            dim = fast ? 32 * between(1, 4) : 16 * between(1, 8)
            (kvHeads, group, blockTokens) = (between(1, 3), between(1, 5), between(1, 40))
            (past, count) = (between(0, 3) == 0 ? 0 : between(0, 700), between(1, fast ? 64 : 16))
            window = between(0, 2) == 0 ? UInt32(between(1, 400)) : 0
            cap = between(0, 2) == 0 ? 20 : 0
            if plain { (dim, kvHeads, group, blockTokens, past, count, window, cap) = (32, 2, 2, 16, 392, 8, 0, 0) }
            positions = (0..<count).map { [past] in UInt32(past + $0) }
            q = random.row(count * kvHeads * group * dim).map { $0 * 2 }
            let blocks = (past + count + blockTokens - 1) / blockTokens
            table = (0..<blocks).map { UInt32(blocks - 1 - $0) }
            pool = [UInt8](repeating: 0xFF, count: blocks * blockBytes)
            for plane in 0..<2 {
                var all: [[[Float]]] = []
                for head in 0..<kvHeads { all.append(write(plane, head, &random)) }
                if plane == 0 { keys = all } else { values = all }
            }
        }

        private mutating func write(_ plane: Int, _ head: Int, _ random: inout Kernels.Random) -> [[Float]] {
            (0..<total).map { write(plane, head, $0, random.row(dim)) }
        }

        /// Another key for a position.
        mutating func setKey(_ head: Int, _ position: Int, _ row: [Float]) { keys[head][position] = write(0, head, position, row) }

        /// Gives what the pool has of it.
        private mutating func write(_ plane: Int, _ head: Int, _ position: Int, _ row: [Float]) -> [Float] {
            let (block, within) = (Int(table[position / blockTokens]), position % blockTokens)
            let at = block * blockBytes + ((plane * kvHeads + head) * blockTokens + within) * dim * elementBytes
            return row.enumerated().map { index, value in
                let (bits, kept): (UInt32, Float) = switch type {
                case 1: (value.bitPattern, value)
                case 2: (UInt32(Float16(value).bitPattern), Float(Float16(value)))
                default: (value.bitPattern >> 16, Float(bitPattern: value.bitPattern & 0xFFFF_0000))
                }
                for byte in 0..<elementBytes { pool[at + index * elementBytes + byte] = UInt8(truncatingIfNeeded: bits >> (8 * byte)) }
                return kept
            }
        }

        /// What the definition gives for token `t` and query head `h`.
        func exact(_ t: Int, _ h: Int) -> [Double] {
            let position = past + t, first = window > 0 ? max(0, position + 1 - Int(window)) : 0
            let row = (0..<dim).map { Double(q[(t * heads + h) * dim + $0]) }
            var scores = (first...position).map { p in
                zip(row, keys[h / group][p]).reduce(0.0) { $0 + $1.0 * Double($1.1) } * 0.125
            }
            if cap > 0 { scores = scores.map { Double(cap) * tangent($0 / Double(cap)) } }
            let top = scores.max() ?? 0, weights = scores.map { Kernels.exponential($0 - top) }, total = weights.reduce(0, +)
            return (0..<dim).map { d in zip(first...position, weights).reduce(0.0) { $0 + $1.1 * Double(values[h / group][$1.0][d]) } / total }
        }

        private func tangent(_ x: Double) -> Double {
            let e = Kernels.exponential(2 * x)
            return (e - 1) / (e + 1)
        }

        /// The whole of it by `attend`, tasks of `tokens` tokens at most for each KV head.
        func run(tokens: Int = .max, _ attend: (UnsafePointer<cpuk_attention>) -> Void) -> [Float] {
            var out = [Float](repeating: .nan, count: count * heads * dim)
            let floats = cpuk_attention_scratch(dim, group)
            let scratch = UnsafeMutableRawPointer.allocate(byteCount: floats * 4, alignment: 64)
            defer { scratch.deallocate() }
            q.withUnsafeBufferPointer { q in
                positions.withUnsafeBufferPointer { positions in
                    pool.withUnsafeBufferPointer { pool in
                        table.withUnsafeBufferPointer { table in
                            out.withUnsafeMutableBufferPointer { out in
                                for (head, first) in (0..<kvHeads).flatMap({ head in stride(from: 0, to: count, by: min(tokens, count)).map { (head, $0) } }) {
                                    var task = cpuk_attention()
                                    (task.q, task.out, task.positions) = (q.baseAddress, out.baseAddress, positions.baseAddress)
                                    (task.first, task.count) = (UInt32(first), UInt32(min(tokens, count - first)))
                                    (task.heads, task.kv_heads, task.dim, task.kv_head) = (UInt32(heads), UInt32(kvHeads), UInt32(dim), UInt32(head))
                                    (task.layer, task.block_stride, task.block_tokens) = (pool.baseAddress, UInt64(blockBytes), UInt32(blockTokens))
                                    (task.type, task.table, task.scale, task.cap, task.window) = (type, table.baseAddress, 0.125, cap, window)
                                    task.scratch = scratch.assumingMemoryBound(to: Float.self)
                                    attend(&task)
                                }
                            }
                        }
                    }
                }
            }
            return out
        }
    }

    private func expectExact(_ piece: Case, _ found: [Float], within limit: Double) {
        for t in 0..<piece.count {
            for h in 0..<piece.heads {
                let at = (t * piece.heads + h) * piece.dim
                for (d, exact) in piece.exact(t, h).enumerated() where !(abs(Double(found[at + d]) - exact) <= limit) {
                    Issue.record("token \(t) of \(piece.count) after \(piece.past), head \(h), \(d) of \(piece.dim), type \(piece.type), blocks of \(piece.blockTokens), window \(piece.window), cap \(piece.cap): \(found[at + d]), not \(exact)")
                    return
                }
            }
        }
    }

    @Test("attention in f32 is its definition over seeded shapes", arguments: Kernels.sets, [Int32(1), 2, 3])
    func attend(isa: Int32, type: Int32) throws {
        let table = try Kernels.table(isa)
        var random = Kernels.Random(state: UInt64(10 + type))
        for _ in 0..<6 {
            let piece = Case(&random, type: type, fast: false)
            expectExact(piece, piece.run { table.attend($0) }, within: 2e-5)
        }
    }

    @Test("fast attention is its definition, or near it where it is in bf16, whole and in segments", arguments: Kernels.sets.filter { $0 > 0 }, [Int32(1), 2, 3])
    func attendFast(isa: Int32, type: Int32) throws {
        let table = try Kernels.table(isa)
        var random = Kernels.Random(state: UInt64(20 + type))
        for _ in 0..<6 { try expectFast(table, Case(&random, type: type, fast: true)) }
    }

    /// Fast attention of `piece` is its definition, whatever it is cut into.
    private func expectFast(_ table: cpuk_table, _ piece: Case) throws {
        let (fast, segment, merge) = (try #require(table.attend_fast), try #require(table.attend_segment), try #require(table.attend_merge))
        let whole = piece.run { fast($0) }
        expectExact(piece, whole, within: table.attends_in_bf16 == 1 ? 2e-2 : 2e-5)
        let segments = (piece.total + 255) / 256, floats = cpuk_segment_floats(piece.count * piece.group, piece.dim)
        var found = [Float](repeating: .nan, count: segments * floats)
        let parts = piece.run { task in
            found.withUnsafeMutableBufferPointer { found in
                guard let base = found.baseAddress else { return }
                for index in (0..<segments).reversed() { segment(task, UInt32(index), base + index * floats) }
                merge(task, UInt32(segments), base)
            }
        }
        #expect(parts == whole)
        for tokens in 1...3 { #expect(piece.run(tokens: tokens) { fast($0) } == whole, "\(tokens) tokens at a time") }
    }

    @Test("scores may rise from tile to tile, fall, and be minus infinity at first", arguments: Kernels.sets.filter { $0 > 0 }, [Int32(1), 3])
    func range(isa: Int32, type: Int32) throws {
        let table = try Kernels.table(isa)
        var random = Kernels.Random(state: UInt64(40 + type))
        // All are exact in bf16: what is tested is the softmax, not how scores are rounded.
        let courses: [(q: Float, key: (Int) -> Float)] = [
            (8, { Float($0 % 256) }), (8, { Float(255 - $0 % 256) }), (8, { Float($0 % 128 < 64 ? $0 % 2 * 200 : 100) }),
            (0x1p127, { $0 < 150 ? -0x1p127 : $0 < 300 ? 0x1p-124 : 0 }),
        ]
        for course in courses {
            var piece = Case(&random, type: type, fast: true, plain: true)
            for index in piece.q.indices { piece.q[index] = index % piece.dim == 0 ? course.q : 0 }
            for head in 0..<piece.kvHeads { for position in 0..<piece.total { piece.setKey(head, position, [course.key(position)] + [Float](repeating: 0, count: piece.dim - 1)) } }
            try expectFast(table, piece)
        }
    }

    @Test("a NaN among the scores stays visible, and only where it is seen", arguments: Kernels.sets)
    func notANumber(isa: Int32) throws {
        let table = try Kernels.table(isa)
        var random = Kernels.Random(state: 31)
        var piece = Case(&random, type: 1, fast: true)
        piece.window = 0
        piece.q[0] = .nan
        for attend in [table.attend, table.attend_fast].compactMap({ $0 }) {
            let found = piece.run { attend($0) }
            #expect(found[..<piece.dim].allSatisfy { $0.isNaN })
            #expect(found[piece.dim...].allSatisfy { $0.isFinite })
        }
    }

    @Test("a NaN among the keys stays visible in the rows that see it, wherever it is", arguments: Kernels.sets)
    func keyIsNotANumber(isa: Int32) throws {
        let table = try Kernels.table(isa)
        var random = Kernels.Random(state: 50)
        let sound = Case(&random, type: 1, fast: true, plain: true)
        for position in [0, 7, 15, 63, 64, 200, 255, 256, 319, 394] {
            var piece = sound
            piece.setKey(0, position, [Float](repeating: .nan, count: piece.dim))
            for attend in [table.attend, table.attend_fast].compactMap({ $0 }) {
                let found = piece.run { attend($0) }
                for row in 0..<piece.count * piece.heads {
                    let sees = row % piece.heads < piece.group && piece.past + row / piece.heads >= position
                    #expect(found[row * piece.dim..<(row + 1) * piece.dim].allSatisfy { sees ? $0.isNaN : $0.isFinite }, "position \(position), row \(row)")
                }
            }
        }
    }
}
