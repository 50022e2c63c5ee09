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

/// Computes steps, but linear ones and attention, for some rows on the calling thread.
struct RowWork: @unchecked Sendable {
    let kernels: UnsafePointer<cpuk_table>
    let batch: Batch
    let tokens: UnsafePointer<UInt32>?
    /// Cosines and sines, a table [T][ropeDims] for each kind of turn.
    let turns: UnsafePointer<Float>?

    @inline(__always)
    func run(_ step: Step, _ rows: Range<Int>, _ places: RowPlaces) {
        let (inputs, outputs, count) = (step.inColumns, step.outColumns, rows.count)
        let out = places(step.out, rows.lowerBound, outputs)
        if step.kind == .embed { return embed(step, rows, out) }
        let x = UnsafePointer(places(step.a, rows.lowerBound, inputs))
        let table = kernels.pointee
        switch step.kind {
        case .rmsNorm: for r in 0..<count { table.rms_norm(x + r * inputs, step.floats, step.epsilon, out + r * inputs, inputs) }
        case .rope: rope(step, x, rows, out)
        case .swiglu: table.swiglu(x, places(step.b, rows.lowerBound, inputs), out, count * outputs)
        case .add, .mul: arithmetic(step, x, rows, out, places)
        case .scale: for i in 0..<count * outputs { out[i] = x[i] * step.scale }
        case .softcap: table.softcap(x, step.cap, out, count * outputs)
        case .embed, .linear, .attention, .selectRows: return
        }
    }

    private func embed(_ step: Step, _ rows: Range<Int>, _ out: UnsafeMutablePointer<Float>) {
        guard let tokens, let base = step.table else { return }
        let rowBytes = cpuk_bytes(step.tableType, step.outColumns)
        for (r, t) in rows.enumerated() {
            kernels.pointee.dequantise(step.tableType, base + Int(tokens[t]) * rowBytes, out + r * step.outColumns, step.outColumns)
        }
    }

    private func rope(_ step: Step, _ x: UnsafePointer<Float>, _ rows: Range<Int>, _ out: UnsafeMutablePointer<Float>) {
        guard let turns = turns.map({ $0 + step.turnsBefore * batch.tokenCount }) else { return }
        for (r, t) in rows.enumerated() {
            kernels.pointee.rope(
                x + r * step.outColumns, out + r * step.outColumns, step.heads, step.headDim, step.ropeDims, turns + t * step.ropeDims, step.ropeStyle)
        }
    }

    /// add and mul; a second operand of one row meets every row of the first.
    private func arithmetic(
        _ step: Step, _ x: UnsafePointer<Float>, _ rows: Range<Int>, _ out: UnsafeMutablePointer<Float>, _ places: RowPlaces
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

    /// K and V of the tokens into their blocks of an attention's layer, in the pool's dtype.
    func store(_ step: Step, _ rows: Range<Int>, _ pool: Pool, _ places: RowPlaces) {
        let d = pool.description
        let (row, width) = (d.headDim * d.dtype.blockBytes, d.kvHeads * d.headDim)
        let storage = pool.layer(max(0, step.layer))
        let (blockBytes, planeBytes) = (pool.blockBytes, pool.planeBytes)
        for t in rows {
            let position = Int(batch.positions[t])
            let block = Int(batch.blockTables[Int(batch.sequences[t]) * batch.blockTableStride + position / d.blockTokens])
            let base = storage + block * blockBytes + position % d.blockTokens * row
            let (k, v) = (places(step.b, t, width), places(step.c, t, width))
            for head in 0..<d.kvHeads {
                let target = base + head * d.blockTokens * row
                put(k + head * d.headDim, d, target)
                put(v + head * d.headDim, d, target + planeBytes)
            }
        }
    }

    private func put(_ row: UnsafePointer<Float>, _ d: KVPoolDescription, _ target: UnsafeMutableRawPointer) {
        if d.dtype == .f32 {
            target.assumingMemoryBound(to: Float.self).update(from: row, count: d.headDim)
        } else {
            kernels.pointee.narrow(d.dtype.kernelType, row, target.assumingMemoryBound(to: UInt16.self), d.headDim)
        }
    }
}
