// SPDX-License-Identifier: Apache-2.0

/// A stage of a model, or a part of one split by layers, as a list of tensor operations: plain values that the engine lowers to the
/// C contract (`baton/program.h`), with the same meaning field by field.
///
/// Operations come after those that make their inputs, and each activation is made once.
public struct ProgramDescription: Sendable, Hashable {
    public enum Input: Sendable, Hashable {
        /// The tokens of the batch.
        case tokens
        /// The tensor at this index of `tensors`, `[T, hidden]` F32.
        case hidden(Int)
    }

    public enum Output: Sendable, Hashable {
        /// `[R, vocabulary]` F32.
        case logits
        /// `[T, hidden]` F32.
        case hidden
    }

    public var hyperparameters: Hyperparameters
    /// The layers of the model it holds; their KV is what it reads and writes.
    public var layers: Range<Int>
    public var tensors: [Tensor]
    public var operations: [Operation]
    public var input: Input
    public var outputKind: Output
    /// Index in `tensors` of what it gives; that tensor's role is `.output`.
    public var output: Int
}

extension ProgramDescription {
    /// Elements of its weights. A weight that serves twice counts once.
    public var parameterCount: Int { weights.reduce(0) { $0 + $1.fixedElements } }

    /// Bytes of its weights as stored, or as a device that keeps matrices as `type` would hold them: vectors then stay F32 when `type`
    /// is a block type, and rows are padded to whole blocks.
    public func weightBytes(as type: TensorType? = nil) -> Int { weights.reduce(0) { $0 + $1.weightBytes(as: type) } }

    /// Bytes of keys and values that one token keeps in this program's layers.
    public func kvBytesPerToken(bytesPerElement: Int) -> Int {
        hyperparameters.kvBytesPerToken(bytesPerElement: bytesPerElement, layers: layers.count)
    }

    private var weights: [Tensor] { tensors.filter(\.isWeight) }
}
