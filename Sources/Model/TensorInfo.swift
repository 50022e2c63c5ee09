// SPDX-License-Identifier: Apache-2.0

/// Where one tensor lies in a GGUF file. Made by `GGUFFile` only, which has checked that its bytes lie inside the file, at a multiple
/// of the file's alignment, apart from those of every other tensor, and that its counts multiply without overflow.
public struct TensorInfo: Sendable, Hashable {
    public let name: String
    /// Elements along each dimension, fastest first as GGUF has them: a linear weight is `[in, out]`. 1 to 4 of them, none zero.
    public let dims: [UInt64]
    public let type: TensorType
    /// Bytes from the start of the file.
    public let offset: Int
    public let byteCount: Int
    /// The product of `dims`.
    public let elementCount: Int

    /// Row-major, slowest first: a linear weight is `[out, in]`.
    public var shape: [Int] { dims.reversed().map { Int($0) } }
}
