import Glibc

/// A compiled program: the graph, proven sound by DriverKit, and where activations lie.
final class Program: ProgramImplementation {
    let description: ProgramDescription
    /// The slot of each activation, -1 for other tensors, and the floats of a row of each slot: activations that are not needed at the same time share one.
    let slots: [Int]
    let widths: [Int]

    init(_ description: ProgramDescription) {
        self.description = description
        var lastUse = [Int](repeating: 0, count: description.tensors.count)
        for (index, op) in description.operations.enumerated() { for tensor in op.inputs + [op.output] { lastUse[tensor] = index } }
        var (slots, widths, freeAt): ([Int], [Int], [Int]) = (Array(repeating: -1, count: description.tensors.count), [], [])
        for (index, op) in description.operations.enumerated() where description.tensors[op.output].role == .activation {
            let slot = freeAt.firstIndex { $0 <= index } ?? freeAt.count
            if slot == freeAt.count {
                freeAt.append(0)
                widths.append(0)
            }
            freeAt[slot] = lastUse[op.output] + 1
            widths[slot] = max(widths[slot], description.tensors[op.output].elements(tokens: 1, rows: 1))
            slots[op.output] = slot
        }
        self.slots = slots
        self.widths = widths
    }

    /// Weights stay where they are; a batch's workspace is taken and given back.
    var info: ProgramInfo { ProgramInfo(weightBytes: 0, workspaceBytes: UInt64(widths.reduce(0, +) * max(description.maxTokens, 1) * 4)) }
}

/// Step 6: one batch through a program, in f32. This is the file that your device replaces first.
struct Execution: @unchecked Sendable {
    private let program: Program
    private let batch: Batch
    private let host: Host
    private let pool: Pool?
    private let bound: [UnsafeMutablePointer<Float>?]
    private typealias Operation = ProgramDescription.Operation

    init(_ program: Program, _ batch: Batch, _ host: Host) throws(DriverFailure) {
        self.program = program
        self.batch = batch
        self.host = host
        pool = batch.pool as? Pool
        var bound = [UnsafeMutablePointer<Float>?](repeating: nil, count: program.description.tensors.count)
        for binding in batch.bindings {
            guard let buffer = binding.buffer as? HostBuffer else { throw DriverFailure(.invalidArgument, "a buffer of another driver") }
            let tensor = program.description.tensors[binding.tensor]
            guard tensor.role == .input || buffer.isWritable else {
                throw DriverFailure(.permissionDenied, "'\(tensor.name)' is bound to memory imported for reading")
            }
            bound[binding.tensor] = (buffer.base + binding.offset).assumingMemoryBound(to: Float.self)
        }
        self.bound = bound
    }

    /// Runs every operation; `layerDone` hears of each layer whose KV is complete, counted from 0.
    func perform(layerDone: (Int) -> Void, isCancelled: () -> Bool) throws(DriverFailure) {
        let memory = program.widths.map { UnsafeMutablePointer<Float>.allocate(capacity: max(1, $0 * batch.tokenCount)) }
        defer { for each in memory { each.deallocate() } }
        var done = 0
        for op in program.description.operations {
            if isCancelled() { throw DriverFailure(.cancelled, "the device was quiesced while this batch ran") }
            func place(_ tensor: Int) -> UnsafeMutablePointer<Float> { bound[tensor] ?? memory[max(program.slots[tensor], 0)] }
            guard rows(op.output) > 0 else { continue }
            run(op, place) {
                done = op.layer - program.description.firstLayer + 1
                layerDone(done - 1)
            }
        }
        for layer in done..<max(done, program.description.layerCount) { layerDone(layer) }
    }

    private func rows(_ tensor: Int) -> Int {
        let shape = program.description.tensors[tensor].shape
        return shape.count == 1 ? 1 : shape[0].count(tokens: batch.tokenCount, rows: batch.rows.count)
    }

    private func columns(_ tensor: Int) -> Int { program.description.tensors[tensor].columns }

    private func run(_ op: Operation, _ place: (Int) -> UnsafeMutablePointer<Float>, _ kept: () -> Void) {
        let out = place(op.output)
        let x = op.inputs[0]
        let count = rows(op.output) * columns(op.output)
        switch op.kind {
        case .embed: for (t, token) in batch.tokens.enumerated() { weightRow(x, Int(token), out + t * columns(x)) }
        case .rmsNorm: norm(op, place(x), out)
        case .linear: linear(op, place(x), out)
        case .rope: rope(op, place(x), out)
        case .attention: attention(op, place(x), place(op.inputs[1]), place(op.inputs[2]), out, kept)
        case .swiglu:
            let (gate, up) = (place(x), place(op.inputs[1]))
            for i in 0..<count { out[i] = gate[i] / (1 + expf(-gate[i])) * up[i] }
        case .add, .mul: pairwise(op, place(x), place, out)
        case .scale: for i in 0..<count { out[i] = place(x)[i] * op.scale }
        case .softcap: for i in 0..<count { out[i] = op.cap * tanhf(place(x)[i] / op.cap) }
        case .selectRows: for (r, row) in batch.rows.enumerated() { (out + r * columns(x)).update(from: place(x) + Int(row) * columns(x), count: columns(x)) }
        }
    }

    private func weightRow(_ tensor: Int, _ row: Int, _ out: UnsafeMutablePointer<Float>) {
        let weight = program.description.tensors[tensor]
        guard let buffer = weight.buffer as? HostBuffer, let stride = weight.dtype.bytes(weight.columns) else { return }
        Weights.decode(weight.dtype, buffer.base + weight.offset + row * stride, weight.columns, out)
    }

    private func vector(_ tensor: Int) -> [Float] {
        var values = [Float](repeating: 0, count: rows(tensor) * columns(tensor))
        values.withUnsafeMutableBufferPointer { values in
            guard let base = values.baseAddress else { return }
            for row in 0..<rows(tensor) { weightRow(tensor, row, base + row * columns(tensor)) }
        }
        return values
    }

    private func norm(_ op: Operation, _ x: UnsafeMutablePointer<Float>, _ out: UnsafeMutablePointer<Float>) {
        let (gain, width) = (vector(op.inputs[1]), columns(op.output))
        for n in 0..<rows(op.output) {
            var squares = 0.0
            for i in 0..<width { squares += Double(x[n * width + i]) * Double(x[n * width + i]) }
            let scale = Float(1 / (squares / Double(width) + Double(op.epsilon)).squareRoot())
            for i in 0..<width { out[n * width + i] = x[n * width + i] * scale * gain[i] }
        }
    }

    /// Each weight's row is made f32 once and used for all rows of x.
    private func linear(_ op: Operation, _ x: UnsafeMutablePointer<Float>, _ out: UnsafeMutablePointer<Float>) {
        let (inputs, outputs, rows) = (columns(op.inputs[0]), columns(op.output), rows(op.output))
        let bias = op.inputs.count == 3 ? vector(op.inputs[2]) : []
        host.parallelFor(outputs, grain: 16) { begin, end, _ in
            let row = UnsafeMutablePointer<Float>.allocate(capacity: inputs)
            defer { row.deallocate() }
            for o in begin..<end {
                weightRow(op.inputs[1], o, row)
                for n in 0..<rows { out[n * outputs + o] = Self.dot(x + n * inputs, row, inputs) + (bias.isEmpty ? 0 : bias[o]) }
            }
        }
    }

    /// Sixteen sums, so that vectors may be used without changing the order of additions.
    private static func dot(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ count: Int) -> Float {
        var sums = SIMD16<Float>.zero
        var i = 0
        while i + 16 <= count {
            let (x, y) = (UnsafeRawPointer(a + i).loadUnaligned(as: SIMD16<Float>.self), UnsafeRawPointer(b + i).loadUnaligned(as: SIMD16<Float>.self))
            sums += x * y
            i += 16
        }
        var total = sums.sum()
        while i < count {
            total += a[i] * b[i]
            i += 1
        }
        return total
    }

    private func rope(_ op: Operation, _ x: UnsafeMutablePointer<Float>, _ out: UnsafeMutablePointer<Float>) {
        let width = columns(op.output)
        out.update(from: x, count: batch.tokenCount * width)
        let isInterleaved = op.ropeStyle == .interleaved
        for (t, position) in batch.positions.enumerated() {
            for pair in 0..<op.ropeDims / 2 {
                let angle = Double(position) * Double(op.ropeScale) * pow(Double(op.ropeBase), -2 * Double(pair) / Double(op.ropeDims))
                let (c, s) = (Float(cos(angle)), Float(sin(angle)))
                for head in 0..<op.heads {
                    let a = out + t * width + head * op.headDim + (isInterleaved ? 2 * pair : pair)
                    let b = a + (isInterleaved ? 1 : op.ropeDims / 2)
                    (a.pointee, b.pointee) = (a.pointee * c - b.pointee * s, a.pointee * s + b.pointee * c)
                }
            }
        }
    }

    /// Where the K or V of a position of a token's sequence lies.
    private func row(_ pool: Pool, _ op: Operation, _ token: Int, _ position: Int, _ plane: Int, _ head: Int) -> UnsafeMutableRawPointer {
        let size = pool.description.blockTokens
        let block = batch.blockTables[Int(batch.sequences[token]) * batch.blockTableStride + position / size]
        return pool.row(op.layer, Int(block), plane, head, position % size)
    }

    private func attention(
        _ op: Operation, _ q: UnsafeMutablePointer<Float>, _ k: UnsafeMutablePointer<Float>, _ v: UnsafeMutablePointer<Float>, _ out: UnsafeMutablePointer<Float>,
        _ kept: () -> Void
    ) {
        guard let pool else { return }
        for t in 0..<batch.tokenCount {
            for (plane, values) in [k, v].enumerated() {
                for head in 0..<op.kvHeads {
                    FloatRow.copy(
                        op.headDim, from: values + (t * op.kvHeads + head) * op.headDim, .f32, step: 1,
                        to: row(pool, op, t, Int(batch.positions[t]), plane, head), pool.description.dtype, step: 1)
                }
            }
        }
        kept()
        host.parallelFor(batch.tokenCount * op.heads, grain: 4) { begin, end, _ in
            for i in begin..<end { attend(pool, op, i / op.heads, i % op.heads, q + i * op.headDim, out + i * op.headDim) }
        }
    }

    /// One head of one token over the positions it sees.
    private func attend(_ pool: Pool, _ op: Operation, _ token: Int, _ head: Int, _ q: UnsafeMutablePointer<Float>, _ out: UnsafeMutablePointer<Float>) {
        let (dim, count, kvHead) = (op.headDim, Int(batch.positions[token]) + 1, head / (op.heads / op.kvHeads))
        let first = op.window > 0 ? max(0, count - op.window) : 0
        let line = UnsafeMutablePointer<Float>.allocate(capacity: dim + count)
        defer { line.deallocate() }
        let scores = line + dim
        var (top, sum) = (-Float.infinity, Float(0))
        for p in first..<count {
            FloatRow.copy(dim, from: row(pool, op, token, p, 0, kvHead), pool.description.dtype, step: 1, to: line, .f32, step: 1)
            let score = Self.dot(q, line, dim) * op.scale
            scores[p] = op.cap > 0 ? op.cap * tanhf(score / op.cap) : score
            top = max(top, scores[p])
        }
        out.update(repeating: 0, count: dim)
        for p in first..<count {
            let weight = expf(scores[p] - top)
            sum += weight
            FloatRow.copy(dim, from: row(pool, op, token, p, 1, kvHead), pool.description.dtype, step: 1, to: line, .f32, step: 1)
            for i in 0..<dim { out[i] += weight * line[i] }
        }
        for i in 0..<dim { out[i] /= sum }
    }

    /// ADD and MUL: element by element, or one row for all; the second may be a weight.
    private func pairwise(
        _ op: Operation, _ x: UnsafeMutablePointer<Float>, _ place: (Int) -> UnsafeMutablePointer<Float>, _ out: UnsafeMutablePointer<Float>
    ) {
        let second = program.description.tensors[op.inputs[1]]
        let weights = second.role == .weight ? vector(op.inputs[1]) : []
        let (width, isRow) = (columns(op.output), second.shape.count == 1)
        weights.withUnsafeBufferPointer { weights in
            let y = second.role == .weight ? weights.baseAddress : UnsafePointer(place(op.inputs[1]))
            guard let y else { return }
            for i in 0..<rows(op.output) * width {
                let other = y[isRow ? i % width : i]
                out[i] = op.kind == .add ? x[i] + other : x[i] * other
            }
        }
    }
}
