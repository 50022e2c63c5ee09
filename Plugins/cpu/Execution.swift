import CPUKernels
import DriverKit

/// Runs batches of a plan, one at a time, on the thread of the device's queue. Owns the activations between runs.
final class Execution: @unchecked Sendable {
    private let kernels: Kernels
    private let host: Host
    private let linear: Linear
    private let activations = Scratch()
    private let turns = Scratch()
    private let attention: Attention
    private let shared = Scratch()
    private var operations: [Linear.Operation] = []

    init(kernels: Kernels, numerics: Numerics, host: Host) {
        self.kernels = kernels
        self.host = host
        attention = Attention(kernels: kernels, numerics: numerics, host: host)
        linear = Linear(kernels: kernels, numerics: numerics, host: host)
    }

    /// What one run needs to know beside the plan.
    struct Run {
        let plan: Plan
        let batch: Batch
        let pool: Pool?
        /// Where each tensor of role input or output lies; null where it is not bound.
        let bound: [UnsafeMutablePointer<Float>?]
        let layerDone: (Int) -> Void
        let isCancelled: () -> Bool
    }

    /// Computes every op of the plan for the batch. `layerDone` hears the program's layers, counted from 0, in order, as their KV is complete.
    func run(_ run: Run) throws(DriverFailure) {
        let plan = run.plan
        let program = plan.description
        let tokens = run.batch.tokenCount
        var offsets: [Int] = []
        var total = 0
        for slot in plan.slotWidths.indices {
            offsets.append(total)
            total += plan.slotFloats(slot, tokens: tokens)
        }
        let arena = activations.floats(max(total, 16))
        linear.begin()
        var doneLayers = 0
        var ropeTable: (dims: Int, base: Float, scale: Float)?
        func place(_ tensor: Int) -> UnsafeMutablePointer<Float>? {
            plan.slots[tensor] >= 0 ? arena + offsets[plan.slots[tensor]] : run.bound[tensor]
        }
        var index = 0
        while index < program.operations.count {
            let op = program.operations[index]
            let count = plan.together[index]
            defer { index += count }
            guard let out = place(op.output) else {
                let output = program.tensors[op.output]
                if output.rowsKind == .rows, run.batch.rows.isEmpty { continue }
                throw DriverFailure(.invalidArgument, "tensor '\(output.name)' is an output and is not bound to a buffer; bind it")
            }
            let rows = program.tensors[op.output].rowsKind.count(tokens: tokens, rows: run.batch.rows.count)
            if rows == 0 { continue }
            switch op.kind {
            case .embed: try embed(program.tensors[op.inputs[0]], run.batch.tokens, out)
            case .selectRows: select(try input(place(op.inputs[0])), run.batch.rows, program.tensors[op.output].columns, out)
            case .linear:
                operations.removeAll(keepingCapacity: true)
                for at in index..<index + count { operations.append(try linearOperation(plan, at, place)) }
                linear.run(operations, tensor: op.inputs[0], x: try input(place(op.inputs[0])), tokens: rows)
            case .rmsNorm:
                try norm(op, try input(place(op.inputs[0])), program.tensors[op.inputs[1]], rows, out)
            case .rope:
                if ropeTable?.dims != op.ropeDims || ropeTable?.base != op.ropeBase || ropeTable?.scale != op.ropeScale {
                    makeTurns(op, run.batch.positions)
                    ropeTable = (op.ropeDims, op.ropeBase, op.ropeScale)
                }
                rope(op, try input(place(op.inputs[0])), tokens, out)
            case .attention:
                guard let pool = run.pool else { throw DriverFailure(.invalidArgument, "the program has attention and the batch no KV pool; give one") }
                let layer = max(0, op.layer)
                write(try input(place(op.inputs[1])), try input(place(op.inputs[2])), run.batch, pool, layer)
                let ordinal = layer - program.firstLayer
                while doneLayers <= ordinal {
                    run.layerDone(doneLayers)
                    doneLayers += 1
                }
                attention.run(op, try input(place(op.inputs[0])), run.batch, pool, layer, out)
            case .swiglu:
                try each(place(op.inputs[0]), place(op.inputs[1]), rows * program.tensors[op.output].columns, out) { table, a, b, out, count in
                    table.pointee.swiglu(a, b, out, count)
                }
            case .add, .mul: try arithmetic(op, program, place, rows, out)
            case .scale:
                let x = try input(place(op.inputs[0]))
                for i in 0..<rows * program.tensors[op.output].columns { out[i] = x[i] * op.scale }
            case .softcap: kernels.table.pointee.softcap(try input(place(op.inputs[0])), op.cap, out, rows * program.tensors[op.output].columns)
            }
            if run.isCancelled() { throw DriverFailure(.cancelled, "the device was quiesced before the batch ended") }
        }
        while doneLayers < program.layerCount {
            run.layerDone(doneLayers)
            doneLayers += 1
        }
    }

    private func linearOperation(
        _ plan: Plan, _ index: Int, _ place: (Int) -> UnsafeMutablePointer<Float>?
    ) throws(DriverFailure) -> Linear.Operation {
        let (program, op) = (plan.description, plan.description.operations[index])
        guard let weight = plan.weights[index], let out = place(op.output) else {
            throw DriverFailure(.invalidArgument, "tensor '\(program.tensors[op.output].name)' is an output and is not bound to a buffer; bind it")
        }
        return Linear.Operation(weight: weight, bias: try plan.bias(op), out: out)
    }

    private func input(_ pointer: UnsafeMutablePointer<Float>?) throws(DriverFailure) -> UnsafePointer<Float> {
        guard let pointer else { throw DriverFailure(.invalidArgument, "an input tensor is not bound to a buffer; bind it") }
        return UnsafePointer(pointer)
    }

    private func embed(_ weight: ProgramDescription.Tensor, _ tokens: [UInt32], _ out: UnsafeMutablePointer<Float>) throws(DriverFailure) {
        let base = try weight.bytes()
        let (columns, type) = (weight.columns, weight.dtype.kernelType)
        let rowBytes = cpuk_bytes(type, columns)
        for (t, token) in tokens.enumerated() {
            kernels.table.pointee.dequantise(type, base + Int(token) * rowBytes, out + t * columns, columns)
        }
    }

    private func select(_ x: UnsafePointer<Float>, _ rows: [UInt32], _ columns: Int, _ out: UnsafeMutablePointer<Float>) {
        for (r, row) in rows.enumerated() { (out + r * columns).update(from: x + Int(row) * columns, count: columns) }
    }

    private func norm(
        _ op: ProgramDescription.Operation, _ x: UnsafePointer<Float>, _ weight: ProgramDescription.Tensor, _ rows: Int, _ out: UnsafeMutablePointer<Float>
    ) throws(DriverFailure) {
        let columns = weight.columns
        let scale = shared.floats(columns)
        kernels.table.pointee.dequantise(weight.dtype.kernelType, try weight.bytes(), scale, columns)
        nonisolated(unsafe) let (x, scale_, out, table) = (x, scale, out, kernels.table)
        host.parallelFor(rows, grain: 32) { begin, end, _ in
            for row in begin..<end { table.pointee.rms_norm(x + row * columns, scale_, op.epsilon, out + row * columns, columns) }
        }
    }

    private func makeTurns(_ op: ProgramDescription.Operation, _ positions: [UInt32]) {
        nonisolated(unsafe) let table = turns.floats(positions.count * op.ropeDims)
        let dims = op.ropeDims
        host.parallelFor(positions.count, grain: 32) { begin, end, _ in
            for t in begin..<end {
                cpuk_turns(Double(positions[t]), Double(op.ropeScale), Double(op.ropeBase), dims, table + t * dims)
            }
        }
    }

    private func rope(_ op: ProgramDescription.Operation, _ x: UnsafePointer<Float>, _ tokens: Int, _ out: UnsafeMutablePointer<Float>) {
        let width = op.heads * op.headDim
        nonisolated(unsafe) let (x, out, table) = (x, out, kernels.table)
        nonisolated(unsafe) let turns = turns.base.assumingMemoryBound(to: Float.self)
        host.parallelFor(tokens, grain: 32) { begin, end, _ in
            for t in begin..<end {
                table.pointee.rope(x + t * width, out + t * width, op.heads, op.headDim, op.ropeDims, turns + t * op.ropeDims, op.ropeStyle?.rawValue ?? 1)
            }
        }
    }

    private func each(
        _ a: UnsafeMutablePointer<Float>?, _ b: UnsafeMutablePointer<Float>?, _ count: Int, _ out: UnsafeMutablePointer<Float>,
        _ body: @Sendable (UnsafePointer<cpuk_table>, UnsafePointer<Float>, UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int) -> Void
    ) throws(DriverFailure) {
        nonisolated(unsafe) let (a, b, out, table) = (try input(a), try input(b), out, kernels.table)
        host.parallelFor(count, grain: 16_384) { begin, end, _ in body(table, a + begin, b + begin, out + begin, end - begin) }
    }

    /// add and mul; a second operand of one row meets every row of the first.
    private func arithmetic(
        _ op: ProgramDescription.Operation, _ program: ProgramDescription, _ place: (Int) -> UnsafeMutablePointer<Float>?, _ rows: Int,
        _ out: UnsafeMutablePointer<Float>
    ) throws(DriverFailure) {
        let columns = program.tensors[op.output].columns
        let a = try input(place(op.inputs[0]))
        let second = program.tensors[op.inputs[1]]
        let isRow = second.rank == 1
        let b: UnsafePointer<Float>
        if second.role == .weight {
            let count = isRow ? columns : rows * columns
            let wide = shared.floats(count)
            kernels.table.pointee.dequantise(second.dtype.kernelType, try second.bytes(), wide, count)
            b = UnsafePointer(wide)
        } else {
            b = try input(place(op.inputs[1]))
        }
        nonisolated(unsafe) let (left, right, target) = (a, b, out)
        let apply = op.kind == .add ? kernels.table.pointee.add : kernels.table.pointee.mul
        host.parallelFor(rows, grain: max(1, 16_384 / columns)) { begin, end, _ in
            if !isRow { apply?(left + begin * columns, right + begin * columns, target + begin * columns, (end - begin) * columns) } else {
                for row in begin..<end { apply?(left + row * columns, right, target + row * columns, columns) }
            }
        }
    }

    /// K and V of the batch into their blocks, in the pool's dtype.
    private func write(_ k: UnsafePointer<Float>, _ v: UnsafePointer<Float>, _ batch: Batch, _ pool: Pool, _ layer: Int) {
        let d = pool.description
        let row = d.headDim * d.dtype.blockBytes
        nonisolated(unsafe) let (k, v, storage) = (k, v, pool.layer(layer))
        let (blockBytes, planeBytes) = (pool.blockBytes, pool.planeBytes)
        host.parallelFor(batch.tokenCount, grain: 32) { begin, end, _ in
            for t in begin..<end {
                let position = Int(batch.positions[t])
                let block = Int(batch.blockTables[Int(batch.sequences[t]) * batch.blockTableStride + position / d.blockTokens])
                let base = storage + block * blockBytes + position % d.blockTokens * row
                for head in 0..<d.kvHeads {
                    let source = (t * d.kvHeads + head) * d.headDim
                    let target = base + head * d.blockTokens * row
                    self.store(k + source, d, target)
                    self.store(v + source, d, target + planeBytes)
                }
            }
        }
    }

    private func store(_ row: UnsafePointer<Float>, _ d: KVPoolDescription, _ target: UnsafeMutableRawPointer) {
        if d.dtype == .f32 {
            target.assumingMemoryBound(to: Float.self).update(from: row, count: d.headDim)
        } else {
            kernels.table.pointee.narrow(d.dtype.kernelType, row, target.assumingMemoryBound(to: UInt16.self), d.headDim)
        }
    }
}
