import CPUKernels
import DriverKit

/// A weight of a linear operation, as the kernels take it.
struct PreparedWeight: @unchecked Sendable {
    enum Form {
        /// Blocks as GGUF has them, by int8 activations.
        case quantised
        /// Rows as stored, dequantised as they are used.
        case rows
        /// Panels of 16 outputs, [inputs][16], in a 16-bit type.
        case panels
    }
    let form: Form
    /// The kernels' type of what `base` points to.
    let type: Int32
    let base: UnsafeRawPointer
    let inputs: Int
    let outputs: Int

    var panelCount: Int { (outputs + 15) / 16 }
    var panelBytes: Int { cpuk_bytes(type, inputs * 16) }

    /// Bytes of a weight repacked into panels of `type`.
    static func packedBytes(_ type: Int32, inputs: Int, outputs: Int) -> Int { (outputs + 15) / 16 * cpuk_bytes(type, inputs * 16) }
}
