import CPUKernels
import DriverKit

/// Linear operations for some rows on one thread, with scratch of its own. The input is quantised or rounded once for those that share it.
final class RowLinear: @unchecked Sendable {
    private let kernels: UnsafePointer<cpuk_table>
    private let room: LinearInput.Room
    private let opened = Scratch()
    private var readied: (tensor: Int, form: PreparedWeight.Form)?

    init(kernels: UnsafePointer<cpuk_table>) {
        self.kernels = kernels
        room = LinearInput.Room(kernels)
    }

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
        let table = kernels.pointee
        switch weight.form {
        case .packed:
            var quantised = input.quantised
            table.linear_packed(
                weight.type, weight.base, weight.inputs, 0, weight.panelCount, weight.outputs, &quantised, rows, step.bias, out, weight.outputs,
                opened.room(cpuk_opened_bytes(weight.inputs)), nil)
        case .pairs:
            table.linear_pairs(
                weight.base, input.width, 0, weight.panelCount, weight.outputs, input.rounded.assumingMemoryBound(to: UInt16.self), rows, step.bias, out,
                weight.outputs)
        case .panels:
            for panel in 0..<weight.panelCount {
                table.linear_panel(
                    weight.type, weight.base + panel * weight.panelBytes, weight.inputs, min(16, weight.outputs - panel * 16),
                    input.rounded.assumingMemoryBound(to: Float.self), rows, step.bias.map { $0 + panel * 16 }, out + panel * 16, weight.outputs)
            }
        case .rows: return
        }
    }
}
