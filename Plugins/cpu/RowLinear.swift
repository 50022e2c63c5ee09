import CPUKernels
import DriverKit

/// Linear operations for some rows on one thread, with scratch of its own. The input is quantised or rounded once for those that share it.
final class RowLinear: @unchecked Sendable {
    private let room: LinearInput.Room
    private let opened = Scratch()
    private var readied: (tensor: Int, form: PreparedWeight.Form)?

    init(kernels: UnsafePointer<cpuk_table>) { room = LinearInput.Room(kernels) }

    /// Whether a weight of this form can be run so: one that is used as it is stored is unpacked for each use, which is for many rows only.
    static func takes(_ form: PreparedWeight.Form) -> Bool { form != .rows }

    /// Forgets what was readied: the rows are about to change.
    func begin() { readied = nil }

    /// `out` [rows][outputs] = `x` [rows][inputs] by the weight of `step`, plus its bias.
    func run(_ step: Step, _ x: UnsafePointer<Float>, rows: Int, _ out: UnsafeMutablePointer<Float>) {
        guard let weight = step.weight, let input = room.input(weight.form, rows: rows, inputs: weight.inputs) else { return }
        if readied?.tensor != step.a || readied?.form != weight.form {
            input.ready(0..<rows, x)
            readied = (step.a, weight.form)
        }
        input.multiply(step, weight, 0..<weight.panelCount, rows: rows, out, opened.room(cpuk_opened_bytes(weight.inputs)), nil)
    }
}
