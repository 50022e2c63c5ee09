import CPUKernels
import DriverKit
import Synchronization

/// A worker on its way through a batch; while it waits, it asks memory for weights.
typealias Member = Team.Member<WeightsAhead.Asker>

/// Runs batches of a plan, one at a time, on the thread of the device's queue. Owns the activations between runs.
///
/// The workers go through a batch together, as a team. Many tokens run in tiles: each worker takes some tokens through all the steps between two
/// attentions. Few tokens run step by step, and workers share out the weights' rows; what is between linear steps is shared out too, or computed by each
/// worker for itself where the tokens are very few. Either way a token's results are the same, bit for bit.
final class Execution: @unchecked Sendable {
    private let kernels: Kernels
    private let host: Host
    private let team: Team
    private let linear: Linear
    private let attention: Attention
    private let activations = Scratch()
    private let turns = Scratch()
    private let arenas: [Scratch]
    /// Where tensors lie for each worker, in a batch of few rows.
    private let tables: [Scratch]
    private let rowLinears: [RowLinear]
    private let ahead: KVAhead
    private var places: [UnsafeMutablePointer<Float>?] = []
    /// Where in a worker's arena tensors begin that it makes for itself; of batches of few rows.
    private var offsets: [Int] = []
    /// What both were found for.
    private var placed: (workspace: Workspace, rows: Int)?

    /// Tokens of a tile at most: its activations stay in a core's second cache.
    static let tile = 64
    /// Tokens for each worker from which on they run in tiles.
    private static let leastTile = 16
    /// Tokens up to which each worker computes for itself what is between linear steps: for four that takes about as long as handing their results on,
    /// and for more than that, shared out, as much more as is the others' share.
    static func fewTokens(workers: Int) -> Int { workers > 1 ? 4 * workers / (workers - 1) : leastTile }

    init(kernels: Kernels, numerics: Numerics, host: Host) {
        self.kernels = kernels
        self.host = host
        let workers = host.workerCount
        team = Team(workers: workers)
        attention = Attention(kernels: kernels, numerics: numerics, workers: workers)
        linear = Linear(kernels: kernels, workers: workers)
        ahead = KVAhead(workers: workers)
        arenas = (0..<workers).map { _ in Scratch() }
        tables = (0..<workers).map { _ in Scratch() }
        rowLinears = (0..<workers).map { _ in RowLinear(kernels: kernels.table) }
    }

    /// Where row 0 of a tensor lies.
    struct Place: @unchecked Sendable {
        let tensor: Int
        let base: UnsafeMutablePointer<Float>
    }

    /// What one run needs to know beside the plan.
    struct Run {
        let plan: Plan
        let batch: Batch
        let pool: Pool?
        /// Where tensors of role input or output lie.
        let bound: [Place]
        let layerDone: (Int) -> Void
        let isCancelled: () -> Bool
    }

    /// Computes every step of the plan for the batch. `layerDone` hears the program's layers, counted from 0, in order, as their KV is complete, on
    /// one of the threads that compute.
    func run(_ run: Run) throws(DriverFailure) {
        let (plan, tokens) = (run.plan, run.batch.tokenCount)
        let isTiled = plan.canTile && tokens >= Self.leastTile * host.workerCount
        let workspace = isTiled ? plan.tiled : tokens <= Self.fewTokens(workers: host.workerCount) ? plan.few : plan.whole
        let isFew = workspace.manner == .few
        if run.pool == nil, plan.heads > 0 {
            throw DriverFailure(.invalidArgument, "the program has attention and the batch no KV pool; give one")
        }
        try place(run, workspace)
        if !plan.turns.isEmpty { makeTurns(plan.turns, run.batch.positions) }
        for step in workspace.linears { linear.begin(plan.steps[step], rows: rows(plan.steps[step], run), byEach: isFew) }
        ahead.begin(run.batch, isTiled ? nil : run.pool)
        if let pool = run.pool, let last = run.batch.blockTables.max() { pool.reached(block: Int(last)) }
        let isCancelled = Atomic<Bool>(false)
        lend(run, workspace) { way in
            team.begin()
            host.parallelFor(host.workerCount, grain: 1) { begin, _, worker in
                var member = Member(team, worker: worker, waiting: plan.ahead.asker(worker))
                go(isFew ? own(way, worker) : way, &member, isCancelled, first: begin == 0 ? run : nil)
            }
        }
        if isCancelled.load(ordering: .relaxed) { throw DriverFailure(.cancelled, "the device was quiesced before the batch ended") }
    }

    private func lend(_ run: Run, _ workspace: Workspace, _ body: (Way) -> Void) {
        let kv = run.pool.map(KVStorage.init)
        run.batch.lend { batch in
            attention.lend(heads: run.plan.heads, run.batch, batch, kv) { attention in
                places.withUnsafeBufferPointer { places in
                    guard let base = places.baseAddress else { return }
                    let turns = UnsafePointer(turns.base.assumingMemoryBound(to: Float.self))
                    let work = RowWork(kernels: kernels.table, batch: batch, turns: turns, places: RowPlaces(shared: base))
                    body(
                        Way(
                            steps: run.plan.steps, together: run.plan.together, units: workspace.units, work: work, kv: kv, attention: attention,
                            workspace: workspace))
                }
            }
        }
    }

    /// One worker's way through a batch. The one that is given the run as `first` tells of layers, and looks whether it is cancelled.
    private func go(_ way: Way, _ member: inout Member, _ isCancelled: borrowing Atomic<Bool>, first: Run?) {
        var doneLayers = 0
        func signal(to layer: Int) {
            while let first, doneLayers < layer {
                first.layerDone(doneLayers)
                doneLayers += 1
            }
        }
        for index in way.units.indices {
            let unit = way.units[index]
            if unit.kind != .tiles { way.askAhead(of: unit) }
            switch unit.kind {
            case .tiles: runTiles(unit, way, &member)
            case .rows: runRows(unit, way, &member)
            case .own: runOwn(unit, way, &member)
            case .step:
                let before = index > 0 && way.units[index - 1].kind == .own ? way.units[index - 1] : nil
                runStep(unit, after: before, way, &member)
                if let before { way.own?.leave(before) }
            }
            if let first {
                if let stored = unit.stores { signal(to: max(0, way.steps[stored].layer) - first.plan.description.firstLayer + 1) }
                if first.isCancelled() { isCancelled.store(true, ordering: .relaxed) }
            }
            if isCancelled.load(ordering: .relaxed) { return }
        }
        signal(to: first?.plan.description.layerCount ?? 0)
    }

    /// Finds row 0 of every tensor that lies in shared slots or is bound.
    private func place(_ run: Run, _ workspace: Workspace) throws(DriverFailure) {
        let program = run.plan.description
        placeShared(workspace, rows: max(run.batch.tokenCount, run.plan.fixedRows))
        for tensor in run.plan.boundTensors { places[tensor] = nil }
        for place in run.bound { places[place.tensor] = place.base }
        for tensor in run.plan.boundTensors where places[tensor] == nil {
            if program.tensors[tensor].rowsKind == .rows, run.batch.rows.isEmpty { continue }
            throw DriverFailure(.invalidArgument, "tensor '\(program.tensors[tensor].name)' is an input or output and is not bound to a buffer; bind it")
        }
    }

    /// The same for as many rows of the same workspace as in the run before: then they lie there already.
    private func placeShared(_ workspace: Workspace, rows: Int) {
        guard placed?.workspace !== workspace || placed?.rows != rows else { return }
        let arena = activations.floats(max(workspace.shared.floats(rows: rows) ?? 0, 16))
        places = workspace.shared.offsets(rows: rows).map { $0 >= 0 ? arena + $0 : nil }
        placed = (workspace, rows)
        guard workspace.manner == .few else { return }
        offsets = workspace.inner.offsets(rows: rows)
        for scratch in arenas { _ = scratch.floats(max(workspace.inner.floats(rows: rows) ?? 0, 16)) }
        for scratch in tables { _ = scratch.room(places.count * MemoryLayout<UnsafeMutablePointer<Float>?>.stride) }
    }

    /// The way of one worker that computes for itself what is between linear steps. They store the KV of a run where they attend to it: a run of so few
    /// tokens is one attention task for each KV head.
    private func own(_ way: Way, _ worker: Int) -> Way {
        var mine = way
        offsets.withUnsafeBufferPointer { offsets in
            guard let base = offsets.baseAddress else { return }
            let own = OwnRows(
                way.work.places.shared, count: offsets.count, table: tables[worker].base.assumingMemoryBound(to: UnsafeMutablePointer<Float>?.self),
                made: way.workspace.made, offsets: base, arena: arenas[worker].base.assumingMemoryBound(to: Float.self))
            (mine.own, mine.work.places) = (own, own.places)
        }
        return mine
    }

    private func rows(_ step: Step, _ run: Run) -> Int { step.rows.count(tokens: run.batch.tokenCount, rows: run.batch.rows.count) }

    // MARK: Many tokens

    private func runTiles(_ unit: Workspace.Unit, _ way: Way, _ member: inout Member) {
        let (tokens, work, linear) = (way.tokens, way.work, rowLinears[member.worker])
        let rounds = (tokens + Self.tile * host.workerCount - 1) / (Self.tile * host.workerCount)
        let size = (tokens + rounds * host.workerCount - 1) / (rounds * host.workerCount)
        let inner = way.workspace.inner
        let (offsets, arena) = (inner.offsets(rows: size), arenas[member.worker].floats(max(inner.floats(rows: size) ?? 0, 16)))
        let steps = way.steps
        offsets.withUnsafeBufferPointer { offsets in
            member.each((tokens + size - 1) / size) { tile in
                let rows = tile * size..<min(tokens, (tile + 1) * size)
                var own = work
                (own.places.inner, own.places.arena, own.places.start) = (offsets.baseAddress, arena, rows.lowerBound)
                runTile(steps[unit.steps], rows, own, linear)
                if let stored = unit.stores, let kv = way.kv { own.store(steps[stored], rows, kv) }
            }
        }
    }

    private func runTile(_ steps: Slice<UnsafeBufferPointer<Step>>, _ rows: Range<Int>, _ work: RowWork, _ linear: RowLinear) {
        linear.begin()
        for step in steps {
            if step.kind == .linear {
                linear.run(
                    step, work.places(step.a, rows.lowerBound, step.inColumns), rows: rows.count, work.places(step.out, rows.lowerBound, step.outColumns))
            } else { work.run(step, rows) }
        }
    }

    // MARK: Few tokens

    /// Bytes of the next weights that are asked for before each step that a worker computes for itself: as many as memory gives meanwhile.
    private static let askedBefore = 4096

    /// What this worker computes for itself: nobody waits, and nothing passes from core to core.
    private func runOwn(_ unit: Workspace.Unit, _ way: Way, _ member: inout Member) {
        way.own?.enter(unit)
        member.waiting.aim(unit.steps.upperBound)
        let next = way.steps[unit.steps.upperBound]
        if next.kind == .attention { way.attention?.askFirst(next, worker: member.worker, of: team.workers) }
        for step in unit.steps {
            member.waiting.ask(Self.askedBefore)
            way.work.run(way.steps[step], 0..<way.tokens)
        }
        guard let readied = unit.readies else { return }
        member.waiting.ask(Self.askedBefore)
        let step = way.steps[readied]
        linear.input(of: step, rows: way.tokens, own: member.worker)?.ready(0..<way.tokens, way.work.places(step.a, 0, step.inColumns))
    }

    /// `before`: what each worker has computed for itself before this.
    private func runStep(_ unit: Workspace.Unit, after before: Workspace.Unit?, _ way: Way, _ member: inout Member) {
        let step = way.steps[unit.steps.lowerBound]
        let rows = way.rows(step)
        if rows == 0 { return }
        switch step.kind {
        case .linear: runLinear(unit, after: before, rows, way, &member)
        case .selectRows: member.each(1) { _ in select(step, way.work) }
        case .attention: attend(unit, after: before, way, &member)
        default: runRows(unit, way, &member)
        }
    }

    /// The linear step of a unit and those after it that run as one with it; they are skipped when their own turn comes.
    private func runLinear(_ unit: Workspace.Unit, after before: Workspace.Unit?, _ rows: Int, _ way: Way, _ member: inout Member) {
        let (index, steps) = (unit.steps.lowerBound, way.steps)
        let together = way.together[index]
        if together == 0 { return }
        member.waiting.aim(index)
        let input = linear.input(of: steps[index], rows: rows, own: way.own == nil ? nil : member.worker)
        if unit.readies != nil { ready(steps[index], rows, input, way, &member) }
        member.waiting.aim(index + together)
        linear.run(steps[index..<index + together], rows: rows, way.work.places, input, &member) {
            if let before { way.own?.keep(before, rows: way.tokens) }
        }
    }

    /// Readies the input of a linear step: each worker its own, or all together.
    private func ready(_ step: Step, _ rows: Int, _ input: LinearInput?, _ way: Way, _ member: inout Member) {
        guard let input else { return }
        let (places, piece) = (way.work.places, 8)
        if way.own != nil { return input.ready(0..<rows, places(step.a, 0, step.inColumns)) }
        member.each((rows + piece - 1) / piece) { index in
            let rows = index * piece..<min(rows, (index + 1) * piece)
            input.ready(rows, places(step.a, rows.lowerBound, step.inColumns))
        }
    }

    private func attend(_ unit: Workspace.Unit, after before: Workspace.Unit?, _ way: Way, _ member: inout Member) {
        guard let attention = way.attention else { return }
        if unit.stores != nil, way.own == nil { runRows(unit, way, &member) }
        let step = way.steps[unit.steps.lowerBound]
        member.waiting.aim(unit.steps.upperBound)
        attention.run(step, way.work, stores: way.own != nil, &member) {
            if let before { way.own?.keep(before, rows: way.tokens) }
        }
        member.waiting.kv = ahead.asking(layer: max(0, step.layer) + 1, worker: member.worker)
    }

    /// Values from which on rows are cut into pieces, and of one piece of them.
    private static let sharedFrom = 16_384
    private static let piece = 4096

    /// Steps one after another for each row, which is readied then for the linear step that takes it, or stored for the attention. An attention itself
    /// only has its rows stored.
    private func runRows(_ unit: Workspace.Unit, _ way: Way, _ member: inout Member) {
        let (steps, work) = (way.steps, way.work)
        let computed = steps[unit.steps.lowerBound].kind == .attention ? unit.steps.lowerBound..<unit.steps.lowerBound : unit.steps
        let count = way.rows(steps[unit.steps.lowerBound])
        if count == 0 { return }
        let taker = unit.readies.map { steps[$0] }
        let input = taker.flatMap { linear.input(of: $0, rows: count) }
        let piece = count * unit.columns < Self.sharedFrom ? count : max(1, Self.piece / unit.columns)
        member.waiting.aim(unit.steps.upperBound)
        member.each((count + piece - 1) / piece) { index in
            let rows = index * piece..<min(count, (index + 1) * piece)
            for step in computed { work.run(steps[step], rows) }
            if let taker, let input { input.ready(rows, work.places(taker.a, rows.lowerBound, input.inputs)) }
            if let stored = unit.stores, let kv = way.kv { work.store(steps[stored], rows, kv) }
        }
    }

    private func select(_ step: Step, _ work: RowWork) {
        let (x, out) = (work.places(step.a, 0, 0), work.places(step.out, 0, 0))
        for (r, row) in work.batch.rows.enumerated() { (out + r * step.outColumns).update(from: x + Int(row) * step.outColumns, count: step.outColumns) }
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
