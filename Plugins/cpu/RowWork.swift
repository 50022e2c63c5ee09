import CPUKernels
import DriverKit

/// Where rows of tensors lie for one worker: in slots shared by all workers, bound buffers, or the worker's own arena.
struct RowPlaces {
    /// Row 0 of each tensor; null for those in the arena.
    let shared: UnsafePointer<UnsafeMutablePointer<Float>?>
    /// Offset in the arena of each tensor's row `start`; -1 for the others. Null when there is no arena.
    var inner: UnsafePointer<Int>?
    var arena: UnsafeMutablePointer<Float>?
    /// The first row that the arena holds.
    var start = 0

    @inline(__always)
    func callAsFunction(_ tensor: Int, _ row: Int, _ columns: Int) -> UnsafeMutablePointer<Float> {
        if let inner, let arena, inner[tensor] >= 0 { return arena + inner[tensor] + (row - start) * columns }
        // Every tensor that a step reads or writes has a place: Execution.run has looked.
        return shared[tensor].unsafelyUnwrapped + row * columns
    }
}

/// Computes steps, but linear ones and attention, for some rows on the calling thread. Plain pointers: nothing is counted while workers pass it on.
struct RowWork: @unchecked Sendable {
    let kernels: UnsafePointer<cpuk_table>
    let batch: LentBatch
    /// Cosines and sines, a table [T][ropeDims] for each kind of turn.
    let turns: UnsafePointer<Float>?
    var places: RowPlaces

    @inline(__always)
    func run(_ step: Step, _ rows: Range<Int>) {
        let (inputs, outputs, count) = (step.inColumns, step.outColumns, rows.count)
        let out = places(step.out, rows.lowerBound, outputs)
        if step.kind == .embed { return embed(step, rows, out) }
        let x = UnsafePointer(places(step.a, rows.lowerBound, inputs))
        let table = kernels.pointee
        switch step.kind {
        case .rmsNorm: for r in 0..<count { table.rms_norm(x + r * inputs, step.floats, step.epsilon, out + r * inputs, inputs) }
        case .rope: rope(step, x, rows, out)
        case .swiglu: table.swiglu(x, places(step.b, rows.lowerBound, inputs), out, count * outputs)
        case .add, .mul: arithmetic(step, x, rows, out)
        case .scale: for i in 0..<count * outputs { out[i] = x[i] * step.scale }
        case .softcap: table.softcap(x, step.cap, out, count * outputs)
        case .embed, .linear, .attention, .selectRows: return
        }
    }

    private func embed(_ step: Step, _ rows: Range<Int>, _ out: UnsafeMutablePointer<Float>) {
        guard let tokens = batch.tokens, let base = step.table else { return }
        let rowBytes = cpuk_bytes(step.tableType, step.outColumns)
        for (r, t) in rows.enumerated() {
            kernels.pointee.dequantise(step.tableType, base + Int(tokens[t]) * rowBytes, out + r * step.outColumns, step.outColumns)
        }
    }

    private func rope(_ step: Step, _ x: UnsafePointer<Float>, _ rows: Range<Int>, _ out: UnsafeMutablePointer<Float>) {
        guard let turns = turns.map({ $0 + step.turnsBefore * batch.count }) else { return }
        for (r, t) in rows.enumerated() {
            kernels.pointee.rope(
                x + r * step.outColumns, out + r * step.outColumns, step.heads, step.headDim, step.ropeDims, turns + t * step.ropeDims, step.ropeStyle)
        }
    }

    /// add and mul; a second operand of one row meets every row of the first.
    private func arithmetic(
        _ step: Step, _ x: UnsafePointer<Float>, _ rows: Range<Int>, _ out: UnsafeMutablePointer<Float>
    ) {
        let columns = step.outColumns
        guard let apply = step.kind == .add ? kernels.pointee.add : kernels.pointee.mul else { return }
        if step.isRow {
            let row = step.floats ?? UnsafePointer(places(step.b, 0, 0))
            for r in 0..<rows.count { apply(x + r * columns, row, out + r * columns, columns) }
        } else {
            apply(x, step.floats.map { $0 + rows.lowerBound * columns } ?? UnsafePointer(places(step.b, rows.lowerBound, columns)), out, rows.count * columns)
        }
    }

    /// K and V of the tokens, which `step` attends to, into their blocks; of some KV heads, or all.
    func store(_ step: Step, _ rows: Range<Int>, heads: Range<Int>? = nil, _ target: KVStorage) {
        guard let positions = batch.positions, let sequences = batch.sequences, let tables = batch.blockTables else { return }
        for t in rows {
            let (block, offset) = target.place(Int(positions[t]))
            let width = step.kvHeads * step.headDim
            target.put(
                places(step.b, t, width), places(step.c, t, width), heads: heads ?? 0..<step.kvHeads, layer: max(0, step.layer),
                block: Int(tables[Int(sequences[t]) * batch.stride + block]), offset: offset, kernels)
        }
    }
}

/// What steps read of a batch, valid while it is lent.
struct LentBatch: @unchecked Sendable {
    let count: Int
    /// Token indices whose output is wanted.
    let rows: UnsafeBufferPointer<UInt32>
    let tokens, positions, sequences, blockTables: UnsafePointer<UInt32>?
    /// Blocks of a sequence in `blockTables`.
    let stride: Int
}

extension Batch {
    func lend(_ body: (LentBatch) -> Void) {
        tokens.withUnsafeBufferPointer { tokens in
            positions.withUnsafeBufferPointer { positions in
                sequences.withUnsafeBufferPointer { sequences in
                    blockTables.withUnsafeBufferPointer { tables in
                        rows.withUnsafeBufferPointer { rows in
                            body(
                                LentBatch(
                                    count: positions.count, rows: rows, tokens: tokens.baseAddress, positions: positions.baseAddress,
                                    sequences: sequences.baseAddress, blockTables: tables.baseAddress, stride: blockTableStride))
                        }
                    }
                }
            }
        }
    }
}
