import CPUKernels
import DriverKit

/// A weight of a linear operation, as the kernels take it.
struct PreparedWeight: @unchecked Sendable {
    enum Form {
        /// Quantised blocks repacked into panels of 16 rows, by int8 activations.
        case packed
        /// Rows as stored, dequantised as they are used, by f32 activations.
        case rows
        /// Panels of 16 rows in f16, [inputs][16], by activations rounded to f16.
        case panels
        /// Panels of 16 rows in bf16, [inputs / 2][16][2], by bf16 activations.
        case pairs
    }
    let form: Form
    /// The kernels' type of what `base` points to.
    let type: Int32
    let base: UnsafeRawPointer
    let inputs: Int
    let outputs: Int

    var panelCount: Int { (outputs + 15) / 16 }
    var panelBytes: Int { Self.panelBytes(form, type, inputs: inputs) }

    /// The form a weight of `stored` type takes, and the type it is in then.
    static func form(_ stored: Int32, inputs: Int, _ numerics: Numerics) -> (form: Form, type: Int32) {
        switch numerics {
        case .native: cpuk_packed_bytes(stored, inputs) > 0 ? (.packed, stored) : (.rows, stored)
        case .f32: (.rows, stored)
        case .f16: (.panels, Int32(CPUK_F16.rawValue))
        case .bf16: (.pairs, Int32(CPUK_BF16.rawValue))
        }
    }

    static func panelBytes(_ form: Form, _ type: Int32, inputs: Int) -> Int {
        switch form {
        case .packed: cpuk_packed_bytes(type, inputs)
        case .rows: 0
        case .panels: cpuk_bytes(type, inputs * 16)
        case .pairs: cpuk_bytes(type, (inputs + 1) / 2 * 32)
        }
    }

    /// Bytes that repacking a weight takes; 0 for one that is used as it is stored.
    static func packedBytes(_ stored: Int32, inputs: Int, outputs: Int, _ numerics: Numerics) -> Int {
        let (form, type) = form(stored, inputs: inputs, numerics)
        return (outputs + 15) / 16 * panelBytes(form, type, inputs: inputs)
    }
}
