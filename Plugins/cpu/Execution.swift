import CPUKernels
import DriverKit

/// Runs batches of a plan, one at a time, on the thread of the device's queue. Owns the activations between runs.
///
/// Many tokens run in tiles: each worker takes some tokens through all the steps between two attentions. Few tokens run step by step, and
/// workers share out the weights' rows. Either way a token's results are the same, bit for bit.
final class Execution: @unchecked Sendable {
    private let kernels: Kernels
    private let host: Host
    private let linear: Linear
    private let attention: Attention
    private let activations = Scratch()
    private let turns = Scratch()
    private let arenas: [Scratch]
    private let rowLinears: [RowLinear]
    private let ahead: KVAhead
    private var places: [UnsafeMutablePointer<Float>?] = []
    private var operations: [Linear.Operation] = []

    /// Tokens of a tile at most: its activations stay in a core's second cache.
    static let tile = 64
    /// Tokens for each worker from which on they run in tiles.
    private static let leastTile = 16

    init(kernels: Kernels, numerics: Numerics, host: Host) {
        self.kernels = kernels
        self.host = host
        attention = Attention(kernels: kernels, numerics: numerics, host: host)
        linear = Linear(kernels: kernels, numerics: numerics, host: host)
        ahead = KVAhead(workers: host.workerCount)
        arenas = (0..<host.workerCount).map { _ in Scratch() }
        rowLinears = (0..<host.workerCount).map { _ in RowLinear(kernels: kernels.table) }
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

    /// Computes every step of the plan for the batch. `layerDone` hears the program's layers, counted from 0, in order, as their KV is complete.
    func run(_ run: Run) throws(DriverFailure) {
        let (plan, tokens) = (run.plan, run.batch.tokenCount)
        let isTiled = plan.canTile && tokens >= Self.leastTile * host.workerCount
        let workspace = isTiled ? plan.tiled : plan.whole
        try place(run, workspace)
        if !plan.turns.isEmpty { makeTurns(plan.turns, run.batch.positions) }
        linear.begin()
        ahead.begin(run.batch, isTiled ? nil : run.pool)
        linear.asks = nil
        if let pool = run.pool, let last = run.batch.blockTables.max() { pool.reached(block: Int(last)) }
        var doneLayers = 0
        for (index, unit) in workspace.units.enumerated() {
            let next = index + 1 < workspace.units.count ? plan.steps[workspace.units[index + 1].steps.lowerBound] : nil
            let storing = next?.kind == .attention ? next : nil
            switch unit.kind {
            case .tiles: runTiles(unit.steps, storing: storing, run, workspace.inner)
            case .rows: runRows(unit.steps, storing: storing, run)
            case .step:
                let isStored = index > 0 && workspace.units[index - 1].storesForNext
                try runWhole(unit.steps.lowerBound, isStored: isStored, run, &doneLayers)
            }
            if run.isCancelled() { throw DriverFailure(.cancelled, "the device was quiesced before the batch ended") }
        }
        signal(to: plan.description.layerCount, run, &doneLayers)
    }

    private func signal(to layer: Int, _ run: Run, _ done: inout Int) {
        while done < layer {
            run.layerDone(done)
            done += 1
        }
    }

    /// Finds row 0 of every tensor that lies in shared slots or is bound.
    private func place(_ run: Run, _ workspace: Workspace) throws(DriverFailure) {
        let program = run.plan.description
        let rows = max(run.batch.tokenCount, run.plan.fixedRows)
        let arena = activations.floats(max(workspace.shared.floats(rows: rows) ?? 0, 16))
        let offsets = workspace.shared.offsets(rows: rows)
        places.removeAll(keepingCapacity: true)
        for tensor in program.tensors.indices { places.append(offsets[tensor] >= 0 ? arena + offsets[tensor] : run.bound[tensor]) }
        for tensor in run.plan.boundTensors where places[tensor] == nil {
            if program.tensors[tensor].rowsKind == .rows, run.batch.rows.isEmpty { continue }
            throw DriverFailure(.invalidArgument, "tensor '\(program.tensors[tensor].name)' is an input or output and is not bound to a buffer; bind it")
        }
    }

    // MARK: Many tokens

    private func runTiles(_ steps: Range<Int>, storing: Step?, _ run: Run, _ inner: Slots) {
        let tokens = run.batch.tokenCount
        let rounds = (tokens + Self.tile * host.workerCount - 1) / (Self.tile * host.workerCount)
        let size = (tokens + rounds * host.workerCount - 1) / (rounds * host.workerCount)
        let (offsets, floats) = (inner.offsets(rows: size), max(inner.floats(rows: size) ?? 0, 16))
        offsets.withUnsafeBufferPointer { offsets in
            work(run) { work, places in
                nonisolated(unsafe) let (offsets, places) = (offsets, places)
                host.parallelFor((tokens + size - 1) / size, grain: 1) { begin, end, worker in
                    for tile in begin..<end {
                        let rows = tile * size..<min(tokens, (tile + 1) * size)
                        let own = RowPlaces(shared: places, inner: offsets.baseAddress, arena: arenas[worker].floats(floats), start: rows.lowerBound)
                        runTile(run.plan, steps, storing, run.pool, rows, own, work, rowLinears[worker])
                    }
                }
            }
        }
    }

    private func runTile(
        _ plan: Plan, _ steps: Range<Int>, _ storing: Step?, _ pool: Pool?, _ rows: Range<Int>, _ places: RowPlaces, _ work: RowWork, _ linear: RowLinear
    ) {
        linear.begin()
        plan.steps.withUnsafeBufferPointer { all in
            for index in steps {
                if all[index].kind == .linear {
                    linear.run(
                        all[index], places(all[index].a, rows.lowerBound, all[index].inColumns), rows: rows.count,
                        places(all[index].out, rows.lowerBound, all[index].outColumns))
                } else { work.run(all[index], rows, places) }
            }
        }
        if let storing, let pool { work.store(storing, rows, pool, places) }
    }

    // MARK: Few tokens

    private func runWhole(_ index: Int, isStored: Bool, _ run: Run, _ doneLayers: inout Int) throws(DriverFailure) {
        let step = run.plan.steps[index]
        let rows = step.rows.count(tokens: run.batch.tokenCount, rows: run.batch.rows.count)
        if rows == 0 { return }
        switch step.kind {
        case .linear: runLinear(run.plan, index, rows)
        case .selectRows: select(step, run.batch.rows)
        case .attention:
            guard let pool = run.pool else { throw DriverFailure(.invalidArgument, "the program has attention and the batch no KV pool; give one") }
            if !isStored { share(rows, columns: step.inColumns, run) { $0.store(step, $1, pool, $2) } }
            let layer = max(0, step.layer)
            signal(to: layer - run.plan.description.firstLayer + 1, run, &doneLayers)
            guard let q = places[step.a], let out = places[step.out] else { return }
            attention.run(step, q, run.batch, pool, layer, out)
            linear.asks = ahead.asking(layer: layer + 1)
        default: share(rows, columns: step.outColumns, run) { $0.run(step, $1, $2) }
        }
    }

    /// Steps one after another for each row, which is quantised then where a linear step takes it.
    private func runRows(_ steps: Range<Int>, storing: Step?, _ run: Run) {
        let all = run.plan.steps
        let rows = all[steps.lowerBound].rows.count(tokens: run.batch.tokenCount, rows: run.batch.rows.count)
        let columns = all[steps].reduce(storing?.inColumns ?? 0) { $0 + $1.outColumns }
        if rows == 0 { return }
        let taker = steps.upperBound < all.count && all[steps.upperBound].a == all[steps.upperBound - 1].out ? all[steps.upperBound] : nil
        let input = taker.flatMap { linear.input(of: $0, tokens: rows) }
        share(rows, columns: columns + (input?.inputs ?? 0), run) { work, rows, places in
            for index in steps { work.run(all[index], rows, places) }
            if let taker, let input { input.ready(rows, places(taker.a, rows.lowerBound, input.inputs)) }
            if let storing, let pool = run.pool { work.store(storing, rows, pool, places) }
        }
    }

    /// Values from which on rows are shared out, and of one piece of them.
    private static let sharedFrom = 16_384
    private static let piece = 4096

    /// Runs `body` over rows, shared out when there is enough to do.
    private func share(_ rows: Int, columns: Int, _ run: Run, _ body: (RowWork, Range<Int>, RowPlaces) -> Void) {
        work(run) { work, places in
            let all = RowPlaces(shared: places)
            if rows * columns < Self.sharedFrom { return body(work, 0..<rows, all) }
            host.parallelFor(rows, grain: max(1, Self.piece / columns)) { begin, end, _ in body(work, begin..<end, all) }
        }
    }

    private func work(_ run: Run, _ body: (RowWork, UnsafePointer<UnsafeMutablePointer<Float>?>) -> Void) {
        run.batch.tokens.withUnsafeBufferPointer { tokens in
            places.withUnsafeBufferPointer { places in
                guard let base = places.baseAddress else { return }
                body(
                    RowWork(
                        kernels: kernels.table, batch: run.batch, tokens: tokens.baseAddress,
                        turns: UnsafePointer(turns.base.assumingMemoryBound(to: Float.self))), base)
            }
        }
    }

    /// The linear step at `index` and those after it that run as one with it; they are skipped when their own turn comes.
    private func runLinear(_ plan: Plan, _ index: Int, _ rows: Int) {
        guard !plan.joinsBefore[index] else { return }
        operations.removeAll(keepingCapacity: true)
        for at in index..<index + plan.together[index] {
            let step = plan.steps[at]
            guard let weight = step.weight, let out = places[step.out] else { continue }
            operations.append(Linear.Operation(weight: weight, bias: step.bias, out: out))
        }
        guard let x = places[plan.steps[index].a] else { return }
        linear.run(operations, tensor: plan.steps[index].a, x: x, tokens: rows)
    }

    private func select(_ step: Step, _ rows: [UInt32]) {
        guard let x = places[step.a], let out = places[step.out] else { return }
        for (r, row) in rows.enumerated() { (out + r * step.outColumns).update(from: x + Int(row) * step.outColumns, count: step.outColumns) }
    }

    private func makeTurns(_ kinds: [Plan.Turn], _ positions: [UInt32]) {
        nonisolated(unsafe) let table = turns.floats(positions.count * kinds.reduce(0) { $0 + $1.dims })
        host.parallelFor(positions.count, grain: 32) { begin, end, _ in
            var before = 0
            for kind in kinds {
                for t in begin..<end {
                    cpuk_turns(Double(positions[t]), Double(kind.scale), Double(kind.base), kind.dims, table + before + t * kind.dims)
                }
                before += kind.dims * positions.count
            }
        }
    }
}
