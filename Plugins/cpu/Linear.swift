import CPUKernels
import DriverKit

/// Linear operations over one batch, as the workers of a team run them. Operations that share an input are one part; the input is readied before.
final class Linear: @unchecked Sendable {
    private let kernels: UnsafePointer<cpuk_table>
    /// Of all workers, and of each.
    private let room: LinearInput.Room
    private let rooms: [LinearInput.Room]
    private let opened: [Scratch]

    init(kernels: Kernels, workers: Int) {
        self.kernels = kernels.table
        room = LinearInput.Room(kernels.table)
        rooms = (0..<workers).map { _ in LinearInput.Room(kernels.table) }
        opened = (0..<workers).map { _ in Scratch() }
    }

    /// Makes room for a step by `rows` rows, before workers begin: for each worker's own where each readies its input.
    func begin(_ step: Step, rows: Int, byEach: Bool) {
        guard let weight = step.weight else { return }
        for room in byEach ? rooms : [room] { _ = room.input(weight.form, rows: rows, inputs: weight.inputs) }
        let bytes = weight.form == .packed ? cpuk_opened_bytes(weight.inputs) : weight.form == .rows ? weight.inputs * 17 * 4 : 0
        for scratch in opened { _ = scratch.room(bytes) }
    }

    /// What is to be readied for a linear step, by one worker for all or by this one for itself; nil where it takes its input as it is.
    func input(of step: Step, rows: Int, own worker: Int? = nil) -> LinearInput? {
        step.weight.flatMap { (worker.map { rooms[$0] } ?? room).input($0.form, rows: rows, inputs: $0.inputs) }
    }

    /// `steps` have one form and one input of `rows` rows, which is readied. One worker's way through them. `begins` is called by whoever takes the first
    /// piece.
    func run(
        _ steps: Slice<UnsafeBufferPointer<Step>>, rows: Int, _ places: RowPlaces, _ input: LinearInput?, _ member: inout Member, begins: () -> Void
    ) {
        guard let first = steps.first, let weight = first.weight else { return }
        let scratch = opened[member.worker].base
        guard let input else { return stored(steps, rows, places, &member, scratch, begins) }
        let ask = member.waiting.kv
        let unit = weight.form == .pairs ? 4 : weight.form == .packed && rows > 8 ? 2 : 1
        let units = steps.reduce(0) { $0 + Self.units($1, unit) }
        member.share(units) { begin, end in
            if begin == 0 { begins() }
            var before = 0
            for step in steps {
                let count = Self.units(step, unit)
                let (from, to) = (max(begin, before) - before, min(end, before + count) - before)
                if from < to, let weight = step.weight {
                    input.multiply(step, weight, from * unit..<min(to * unit, weight.panelCount), rows: rows, places(step.out, 0, 0), scratch, ask)
                }
                before += count
            }
        }
    }

    private static func units(_ step: Step, _ unit: Int) -> Int { ((step.weight?.panelCount ?? 0) + unit - 1) / unit }

    // MARK: Weights used as they are stored

    /// Fewer rows than this meet weights that are dequantised as they are used; more meet panels.
    private static let fewRows = 6

    private func stored(
        _ steps: Slice<UnsafeBufferPointer<Step>>, _ rows: Int, _ places: RowPlaces, _ member: inout Member, _ scratch: UnsafeMutableRawPointer,
        _ begins: () -> Void
    ) {
        for (index, step) in steps.enumerated() {
            guard let weight = step.weight else { continue }
            let (x, out) = (places(step.a, 0, 0), places(step.out, 0, 0))
            let each = rows < Self.fewRows ? max(16, 16_384 / weight.inputs / 16 * 16) : 16
            member.share((weight.outputs + each - 1) / each) { begin, end in
                if index == 0, begin == 0 { begins() }
                if rows < Self.fewRows {
                    kernels.pointee.linear_rows(
                        weight.type, weight.base, weight.inputs, begin * each, min(end * each, weight.outputs), x, rows, step.bias, out, weight.outputs)
                } else { unpacked(step, weight, begin..<end, x, rows, out, scratch.assumingMemoryBound(to: Float.self)) }
            }
        }
    }

    /// Panels made as they are used: each is dequantised once and meets every row.
    private func unpacked(
        _ step: Step, _ weight: PreparedWeight, _ panels: Range<Int>, _ x: UnsafePointer<Float>, _ rows: Int, _ out: UnsafeMutablePointer<Float>,
        _ scratch: UnsafeMutablePointer<Float>
    ) {
        for index in panels {
            let width = min(16, weight.outputs - index * 16)
            cpuk_pack_panel(
                kernels, weight.type, weight.base, weight.inputs, index * 16, width, Int32(CPUK_F32.rawValue), scratch, scratch + weight.inputs * 16)
            kernels.pointee.linear_panel(
                Int32(CPUK_F32.rawValue), scratch, weight.inputs, width, x, rows, step.bias.map { $0 + index * 16 }, out + index * 16, weight.outputs)
        }
    }
}
