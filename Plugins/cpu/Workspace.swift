import DriverKit

/// Where the activations of a plan lie while a batch runs.
///
/// A program is cut into units that run one after another. In a tiled workspace, steps whose rows are independent form one unit, which
/// workers run for some tokens each: what lives only inside it lies in a small arena of the worker's own and stays in its cache. In a whole
/// workspace linear steps and attentions are units, and so are the steps between them together, which workers share out by rows. What lives
/// longer than a unit lies in shared slots, used again once the last unit that reads it is over.
///
/// For a few tokens computing such steps takes less than handing their results from core to core. In a workspace of few rows each worker computes
/// them for itself, in its arena, before a linear step or an attention, and whoever takes the first piece of that copies to the shared slots what
/// later units read. A worker that comes late may read slots that are written anew meanwhile; then the linear step or attention is over, and it takes
/// no piece of it: what it has computed is not used. So that this is all that can happen, slots live for a unit longer.
final class Workspace: @unchecked Sendable {
    /// Some steps; one of rows or tiles before an attention also writes that attention's K and V into the pool.
    struct Unit: Sendable {
        enum Kind {
            /// One step, with all of its rows.
            case step
            /// Steps that are not linear, and whose rows are as many and independent.
            case rows
            /// Those and linear ones, tile by tile.
            case tiles
            /// Steps as those of rows, which each worker computes for itself before the unit after it.
            case own
        }
        var steps: Range<Int>
        var kind: Kind
        /// The linear step whose input is readied here, row by row: after rows the one that takes the last one's output, at a linear step itself where
        /// nothing before has done it. Nil for none.
        var readies: Int?
        /// The attention whose K and V are stored here, row by row: by the rows or tiles before it, else by itself. Nil for none.
        var stores: Int?
        /// Values that are made of a row, about: what rows are shared out by.
        var columns = 0
        /// Of a unit of .own, where in the workspace's `made` the tensors are that it makes, and first of them those that units after the next one read.
        var made = 0..<0
        var kept = 0..<0
    }
    /// A tensor that a worker makes for itself.
    struct Made: Sendable {
        var tensor, columns: Int
    }
    enum Manner { case whole, tiled, few }
    let manner: Manner
    /// Kept till the workspace ends.
    let units: UnsafeBufferPointer<Unit>
    /// What units of .own make.
    let made: UnsafeBufferPointer<Made>
    /// Of the linear steps that are units, one for each form and width of their input.
    let linears: [Int]
    let shared: Slots
    let inner: Slots

    /// `together`: how many steps from each on run as one; 0 for those that one before runs.
    init(_ program: ProgramDescription, _ steps: [Step], together: [Int], _ manner: Manner) {
        var units = manner == .tiled ? Self.units(steps, of: .tiles) { $0.isLocal } : Self.units(steps, of: .rows) { $0.isLocal && $0.kind != .linear }
        if manner == .few { Self.findOwn(&units, steps, program) }
        if manner == .few { Self.findReadiedByEach(&units, steps) } else { Self.findReadied(&units, steps) }
        Self.findStored(&units, steps, together: manner != .few)
        for index in units.indices { units[index].columns = Self.columns(units[index], steps) }
        var unitOf = [Int](repeating: 0, count: steps.count)
        for (index, unit) in units.enumerated() { for step in unit.steps { unitOf[step] = index } }
        for step in steps.indices.dropFirst() where together[step] == 0 { unitOf[step] = unitOf[step - 1] }
        var first = [Int](repeating: -1, count: program.tensors.count)
        var last = first
        for (index, step) in steps.enumerated() {
            for tensor in [step.a, step.b, step.c, step.out] where tensor >= 0 && program.tensors[tensor].role == .activation {
                if first[tensor] < 0 { first[tensor] = index }
                let isStored = step.kind == .attention && (tensor == step.b || tensor == step.c) && tensor != step.a
                last[tensor] = isStored && units[unitOf[index]].stores == nil ? index - 1 : index
            }
        }
        let live = program.tensors.indices.filter { first[$0] >= 0 }
        func home(_ tensor: Int) -> Int { unitOf[first[tensor]] }
        let isInner = Set(live.filter { home($0) == unitOf[last[$0]] && units[home($0)].kind == .tiles })
        let isOwn = Set(live.filter { units[home($0)].kind == .own })
        let isPassing = isOwn.filter { unitOf[last[$0]] <= home($0) + 1 }
        var made: [Int] = []
        for index in units.indices where units[index].kind == .own {
            let own = isOwn.filter { home($0) == index }
            let start = made.count
            made += own.subtracting(isPassing).sorted()
            units[index].kept = start..<made.count
            made += own.intersection(isPassing).sorted()
            units[index].made = start..<made.count
        }
        self.manner = manner
        self.units = UnsafeBufferPointer(.lasting(units))
        self.made = UnsafeBufferPointer(.lasting(made.map { Made(tensor: $0, columns: program.tensors[$0].columns) }))
        linears = Self.linears(units, steps)
        let longer = manner == .few ? 1 : 0
        shared = Slots(
            program, live.filter { !isInner.contains($0) && !isPassing.contains($0) }.map { Slots.Life(tensor: $0, first: home($0), last: unitOf[last[$0]] + longer) })
        inner = Slots(
            program,
            isInner.union(isOwn).map { tensor in
                Slots.Life(tensor: tensor, first: first[tensor], last: isOwn.contains(tensor) ? units[min(home(tensor) + 1, units.count - 1)].steps.upperBound : last[tensor])
            })
    }

    deinit {
        units.deallocate()
        made.deallocate()
    }

    /// Units of rows that each worker computes for itself: those before a linear step or an attention for each token, and of which no output is bound.
    private static func findOwn(_ units: inout [Unit], _ steps: [Step], _ program: ProgramDescription) {
        for index in units.indices.dropLast() where units[index].kind == .rows && units[index + 1].kind == .step {
            let next = steps[units[index + 1].steps.lowerBound]
            guard next.rows == .tokens, next.kind == .linear || next.kind == .attention else { continue }
            if units[index].steps.allSatisfy({ program.tensors[steps[$0].out].role == .activation }) { units[index].kind = .own }
        }
    }

    private static func columns(_ unit: Unit, _ steps: [Step]) -> Int {
        steps[unit.steps].reduce(0) { $0 + $1.outColumns } + (unit.readies.map { steps[$0].inColumns } ?? 0) + (unit.stores.map { steps[$0].inColumns } ?? 0)
    }

    private static func linears(_ units: [Unit], _ steps: [Step]) -> [Int] {
        var found: [Int] = []
        for index in units.lazy.filter({ $0.kind == .step }).map(\.steps.lowerBound) where steps[index].kind == .linear {
            let step = steps[index]
            let isThere = found.contains { steps[$0].weight?.form == step.weight?.form && steps[$0].inColumns == step.inColumns && steps[$0].rows == step.rows }
            if !isThere { found.append(index) }
        }
        return found
    }

    private static func findReadied(_ units: inout [Unit], _ steps: [Step]) {
        var readied: (tensor: Int, form: PreparedWeight.Form)?
        for index in units.indices where units[index].kind != .tiles {
            let own = steps[units[index].steps.lowerBound]
            let at = units[index].kind == .rows ? units[index].steps.upperBound : own.kind == .linear ? units[index].steps.lowerBound : steps.count
            guard at < steps.count, let form = steps[at].weight?.form, form != .rows, readied?.tensor != steps[at].a || readied?.form != form,
                units[index].kind == .step || steps[at].a == steps[at - 1].out
            else { continue }
            units[index].readies = at
            readied = (steps[at].a, form)
        }
    }

    /// Each worker has an input of its own, and readies it right before the linear step: what it readied before may be of a step that it came late for.
    private static func findReadiedByEach(_ units: inout [Unit], _ steps: [Step]) {
        for index in units.indices {
            let at = units[index].steps.lowerBound
            guard steps[at].kind == .linear, let form = steps[at].weight?.form, form != .rows else { continue }
            let isMadeBefore = index > 0 && units[index - 1].kind == .own && steps[at].a == steps[at - 1].out
            units[isMadeBefore ? index - 1 : index].readies = at
        }
    }

    private static func findStored(_ units: inout [Unit], _ steps: [Step], together: Bool) {
        for index in units.indices where steps[units[index].steps.lowerBound].kind == .attention {
            let by = index > 0 && units[index - 1].kind != .step && together ? index - 1 : index
            units[by].stores = units[index].steps.lowerBound
        }
    }

    /// Steps that follow one another and are `joined` make one unit of `kind`.
    private static func units(_ steps: [Step], of kind: Unit.Kind, joined: (Step) -> Bool) -> [Unit] {
        var units: [Unit] = []
        for index in steps.indices {
            let joins = joined(steps[index])
            if joins, let last = units.last, last.kind == kind {
                units[units.count - 1].steps = last.steps.lowerBound..<index + 1
            } else {
                units.append(Unit(steps: index..<index + 1, kind: joins ? kind : .step))
            }
        }
        return units
    }
}

/// Activations placed in slots by when they live.
struct Slots: Sendable {
    struct Life {
        var tensor: Int
        /// The first and last moment it is written or read.
        var first, last: Int
    }
    /// The slot of each tensor, -1 for those that are not here.
    let slots: [Int]
    /// Floats in a row of each slot.
    let widths: [Int]

    init(_ program: ProgramDescription, _ lives: [Life]) {
        var slots = [Int](repeating: -1, count: program.tensors.count)
        var widths: [Int] = []
        var busyUntil: [Int] = []
        for life in lives.sorted(by: { ($0.first, $0.tensor) < ($1.first, $1.tensor) }) {
            let width = program.tensors[life.tensor].columns
            let free = widths.indices.filter { busyUntil[$0] < life.first }
            let slot = free.min { abs(widths[$0] - width) < abs(widths[$1] - width) } ?? widths.count
            if slot == widths.count {
                widths.append(width)
                busyUntil.append(life.last)
            } else {
                widths[slot] = max(widths[slot], width)
                busyUntil[slot] = life.last
            }
            slots[life.tensor] = slot
        }
        self.slots = slots
        self.widths = widths
    }

    /// Floats that all slots take for `rows` rows, whole lines of 16 each; nil where they are more than can be said.
    func floats(rows: Int) -> Int? {
        var total = 0
        for width in widths {
            let (floats, overflow) = width.multipliedReportingOverflow(by: max(rows, 1))
            guard !overflow, floats < Int.max / 16, total < Int.max / 16 else { return nil }
            total += (floats + 15) / 16 * 16
        }
        return total
    }

    /// Where each tensor begins for `rows` rows; -1 for those that are not here.
    func offsets(rows: Int) -> [Int] {
        var starts: [Int] = []
        var total = 0
        for width in widths {
            starts.append(total)
            total += (width * max(rows, 1) + 15) / 16 * 16
        }
        return slots.map { $0 < 0 ? -1 : starts[$0] }
    }
}
