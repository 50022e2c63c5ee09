// SPDX-License-Identifier: Apache-2.0

extension ProgramDescription {
    public enum Dimension: Sendable, Hashable {
        case fixed(Int)
        /// T, the tokens of the batch.
        case tokens
        /// R, the rows of the batch that need logits.
        case rows
    }

    /// A tensor of a program: dense, row-major.
    public struct Tensor: Sendable, Hashable {
        public enum Role: Sendable, Hashable {
            /// Where its bytes lie in the file, or nil when the model is known by shape alone.
            case weight(TensorInfo?)
            case activation
            case input
            case output
        }

        public var name: String
        public var role: Role
        /// Weights: as stored. All others are F32.
        public var type: TensorType
        /// Slowest first: a linear weight is `[out, in]`. 1 or 2 dimensions.
        public var shape: [Dimension]

        public var isWeight: Bool {
            if case .weight = role { true } else { false }
        }

        /// The product of the fixed dimensions: all elements of a weight, those of one row of an activation.
        public var fixedElements: Int {
            shape.reduce(1) { if case .fixed(let count) = $1 { $0 * count } else { $0 } }
        }

        /// Bytes as stored, or as matrices kept as `type` would take.
        func weightBytes(as type: TensorType?) -> Int {
            let wanted = type ?? self.type
            let kept = type != nil && shape.count == 1 && wanted.blockElements > 1 ? TensorType.f32 : wanted
            guard case .fixed(let row)? = shape.last, row > 0 else { return 0 }
            let blocks = (row + kept.blockElements - 1) / kept.blockElements
            return fixedElements / row * blocks * kept.blockBytes
        }
    }
}
