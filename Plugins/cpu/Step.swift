import CPUKernels
import DriverKit

/// One operation as the execution takes it: plain numbers and pointers, nothing counted or looked up while a batch runs.
struct Step: @unchecked Sendable {
    let kind: ProgramDescription.Kind
    /// Of the whole model; -1 outside the layers.
    let layer: Int
    /// Tensors read, in order, -1 for none (weights too), and the tensor written.
    let a, b, c: Int
    let out: Int
    let rows: ProgramDescription.Dimension
    /// Elements in a row of `a` and of `out`.
    let inColumns, outColumns: Int
    /// The gain of a norm, or the second operand of add and mul where it is a weight, in f32.
    let floats: UnsafePointer<Float>?
    /// The second operand of add and mul is one row for all.
    let isRow: Bool
    /// The table of embed: rows as stored.
    let table: UnsafeRawPointer?
    let tableType: Int32
    /// Of linear.
    let weight: PreparedWeight?
    let bias: UnsafePointer<Float>?
    let heads, kvHeads, headDim, window: Int
    let ropeDims: Int
    /// Floats for each token of the tables of cosines and sines before this step's.
    let turnsBefore: Int
    let ropeStyle: Int32
    let ropeBase, ropeScale, epsilon, scale, cap: Float

    /// Whether a token's row depends on that token's row alone, and there is one for each token of the batch.
    var isLocal: Bool { kind != .attention && kind != .selectRows && rows == .tokens }

    init(
        _ op: ProgramDescription.Operation, _ program: ProgramDescription, weight: PreparedWeight?, bias: UnsafePointer<Float>?,
        floats: UnsafePointer<Float>?, turnsBefore: Int
    ) throws(DriverFailure) {
        func data(_ index: Int) -> Int {
            op.inputs.indices.contains(index) && program.tensors[op.inputs[index]].role != .weight ? op.inputs[index] : -1
        }
        let (first, output) = (program.tensors[op.inputs[0]], program.tensors[op.output])
        kind = op.kind
        layer = op.layer
        (a, b, c, out) = (data(0), data(1), data(2), op.output)
        rows = output.rowsKind
        (inColumns, outColumns) = (first.columns, output.columns)
        self.floats = floats
        isRow = op.inputs.count > 1 && program.tensors[op.inputs[1]].rank == 1
        table = op.kind == .embed ? try first.bytes() : nil
        tableType = first.dtype.kernelType
        self.weight = weight
        self.bias = bias
        (heads, kvHeads, headDim, window) = (op.heads, op.kvHeads, op.headDim, op.window)
        ropeDims = op.ropeDims
        self.turnsBefore = turnsBefore
        ropeStyle = op.ropeStyle?.rawValue ?? 1
        (ropeBase, ropeScale, epsilon, scale, cap) = (op.ropeBase, op.ropeScale, op.epsilon, op.scale, op.cap)
    }
}
