import CPUKernels
import DriverKit

/// Rows that linear operations take, in the form that their weights want: quantised to int8, or rounded to bf16 or f16.
struct LinearInput: @unchecked Sendable {
    let form: PreparedWeight.Form
    let inputs: Int
    let quantised: cpuk_q8
    /// [rows][`width`] in bf16, or f32 rounded to f16.
    let rounded: UnsafeMutableRawPointer
    private let table: UnsafePointer<cpuk_table>

    /// bf16 inputs are kept in pairs.
    var width: Int { (inputs + 1) / 2 * 2 }

    /// Where such inputs lie, for one thread or for one batch.
    final class Room {
        private let codes = Scratch()
        private let scales = Scratch()
        private let rounded = Scratch()
        private let table: UnsafePointer<cpuk_table>

        init(_ table: UnsafePointer<cpuk_table>) { self.table = table }

        /// The same place for the same form, rows and inputs. Nil for a form that takes f32 as it is.
        func input(_ form: PreparedWeight.Form, rows: Int, inputs: Int) -> LinearInput? {
            var (q, other) = (cpuk_q8(), rounded.base)
            switch form {
            case .rows: return nil
            case .packed:
                let blocks = rows * inputs / 32
                let scale = scales.floats(3 * blocks)
                let counts = UnsafeMutableRawPointer(scale + blocks).assumingMemoryBound(to: Int32.self)
                q = cpuk_q8(values: codes.room(rows * inputs).assumingMemoryBound(to: Int8.self), scales: scale, counts: counts, joined: counts + blocks)
            case .panels: other = rounded.room(rows * inputs * 4)
            case .pairs: other = rounded.room(rows * ((inputs + 1) / 2) * 4)
            }
            return LinearInput(form: form, inputs: inputs, quantised: q, rounded: other, table: table)
        }
    }

    private init(form: PreparedWeight.Form, inputs: Int, quantised: cpuk_q8, rounded: UnsafeMutableRawPointer, table: UnsafePointer<cpuk_table>) {
        (self.form, self.inputs, self.quantised, self.rounded, self.table) = (form, inputs, quantised, rounded, table)
    }

    /// Readies `rows` of those that `x` is the first of. Any thread.
    func ready(_ rows: Range<Int>, _ x: UnsafePointer<Float>) {
        switch form {
        case .rows: return
        case .packed:
            let blocks = inputs / 32
            for (index, t) in rows.enumerated() {
                table.pointee.quantise(
                    x + index * inputs, inputs, quantised.values + t * inputs, quantised.scales + t * blocks, quantised.counts + t * blocks,
                    quantised.joined + t * blocks)
            }
        case .panels:
            let target = rounded.assumingMemoryBound(to: Float.self)
            table.pointee.round(Int32(CPUK_F16.rawValue), x, target + rows.lowerBound * inputs, rows.count * inputs)
        case .pairs:
            let target = rounded.assumingMemoryBound(to: UInt16.self)
            for (index, t) in rows.enumerated() {
                table.pointee.narrow(Int32(CPUK_BF16.rawValue), x + index * inputs, target + t * width, inputs)
                if width > inputs { target[t * width + inputs] = 0 }
            }
        }
    }

    /// `out` [rows][outputs] of some panels of the weight of `step`, plus its bias; all rows are readied. `scratch`: cpuk_opened_bytes(inputs) bytes of the
    /// calling thread's. `ask`: memory to ask for on the way, or null.
    func multiply(
        _ step: Step, _ weight: PreparedWeight, _ panels: Range<Int>, rows: Int, _ out: UnsafeMutablePointer<Float>, _ scratch: UnsafeMutableRawPointer,
        _ ask: UnsafeMutablePointer<cpuk_ask>?
    ) {
        switch form {
        case .rows: return
        case .packed:
            var quantised = quantised
            table.pointee.linear_packed(
                weight.type, weight.base, inputs, panels.lowerBound, panels.upperBound, weight.outputs, &quantised, rows, step.bias, out, weight.outputs,
                scratch, ask)
        case .pairs:
            table.pointee.linear_pairs(
                weight.base, width, panels.lowerBound, panels.upperBound, weight.outputs, rounded.assumingMemoryBound(to: UInt16.self), rows, step.bias, out,
                weight.outputs)
        case .panels:
            for panel in panels {
                table.pointee.linear_panel(
                    weight.type, weight.base + panel * weight.panelBytes, inputs, min(16, weight.outputs - panel * 16),
                    rounded.assumingMemoryBound(to: Float.self), rows, step.bias.map { $0 + panel * 16 }, out + panel * 16, weight.outputs)
            }
        }
    }
}
