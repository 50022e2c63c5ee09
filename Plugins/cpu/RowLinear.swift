import CPUKernels
import DriverKit

/// Linear operations for some rows on one thread, with scratch of its own. The input is quantised or rounded once for those that share it.
final class RowLinear: @unchecked Sendable {
    private let kernels: UnsafePointer<cpuk_table>
    private let codes = Scratch()
    private let scales = Scratch()
    private let rounded = Scratch()
    private let opened = Scratch()
    private var readied: (tensor: Int, form: PreparedWeight.Form)?

    init(kernels: UnsafePointer<cpuk_table>) { self.kernels = kernels }

    /// Whether a weight of this form can be run so: one that is used as it is stored is unpacked for each use, which is for many rows only.
    static func takes(_ form: PreparedWeight.Form) -> Bool { form != .rows }

    /// Forgets what was readied: the rows are about to change.
    func begin() { readied = nil }

    /// `out` [rows][outputs] = `x` [rows][inputs] by the weight of `step`, plus its bias.
    func run(_ step: Step, _ x: UnsafePointer<Float>, rows: Int, _ out: UnsafeMutablePointer<Float>) {
        guard let weight = step.weight else { return }
        if readied?.tensor != step.a || readied?.form != weight.form {
            ready(weight, x, rows)
            readied = (step.a, weight.form)
        }
        let table = kernels.pointee
        switch weight.form {
        case .packed:
            var input = input(rows, weight.inputs)
            table.linear_packed(
                weight.type, weight.base, weight.inputs, 0, weight.panelCount, weight.outputs, &input, rows, step.bias, out, weight.outputs,
                opened.room(cpuk_opened_bytes(weight.inputs)), nil)
        case .pairs:
            table.linear_pairs(
                weight.base, (weight.inputs + 1) / 2 * 2, 0, weight.panelCount, weight.outputs, rounded.base.assumingMemoryBound(to: UInt16.self), rows,
                step.bias, out, weight.outputs)
        case .panels:
            for panel in 0..<weight.panelCount {
                table.linear_panel(
                    weight.type, weight.base + panel * weight.panelBytes, weight.inputs, min(16, weight.outputs - panel * 16),
                    rounded.base.assumingMemoryBound(to: Float.self), rows, step.bias.map { $0 + panel * 16 }, out + panel * 16, weight.outputs)
            }
        case .rows: return
        }
    }

    private func input(_ rows: Int, _ inputs: Int) -> cpuk_q8 {
        let blocks = rows * inputs / 32
        let values = codes.room(rows * inputs).assumingMemoryBound(to: Int8.self)
        let scale = scales.floats(3 * blocks)
        let counts = UnsafeMutableRawPointer(scale + blocks).assumingMemoryBound(to: Int32.self)
        return cpuk_q8(values: values, scales: scale, counts: counts, joined: counts + blocks)
    }

    private func ready(_ weight: PreparedWeight, _ x: UnsafePointer<Float>, _ rows: Int) {
        let (table, inputs) = (kernels.pointee, weight.inputs)
        switch weight.form {
        case .rows: return
        case .packed:
            let (q, blocks) = (input(rows, inputs), inputs / 32)
            for r in 0..<rows {
                table.quantise(x + r * inputs, inputs, q.values + r * inputs, q.scales + r * blocks, q.counts + r * blocks, q.joined + r * blocks)
            }
        case .panels: table.round(Int32(CPUK_F16.rawValue), x, rounded.floats(rows * inputs), rows * inputs)
        case .pairs:
            let width = (inputs + 1) / 2 * 2
            let target = rounded.room(rows * width * 2).assumingMemoryBound(to: UInt16.self)
            for r in 0..<rows {
                table.narrow(Int32(CPUK_BF16.rawValue), x + r * inputs, target + r * width, inputs)
                if width > inputs { target[r * width + inputs] = 0 }
            }
        }
    }
}
