// SPDX-License-Identifier: Apache-2.0

extension ProgramDescription {
    /// One operation: indices into `tensors`, and what it computes from them.
    public struct Operation: Sendable, Hashable {
        public var kind: Kind
        public var inputs: [Int]
        public var output: Int
        /// Of the whole model, from 0; nil outside the layers.
        public var layer: Int?
    }

    /// What an operation computes, and from which inputs, in order. N is T or R.
    public enum Kind: Sendable, Hashable {
        /// weight [V, D] -> [T, D]: the row of each token.
        case embed
        /// x [N, D], weight [D] -> x / sqrt(mean(x^2) + epsilon) * weight.
        case rmsNorm(epsilon: Float)
        /// x [N, I], weight [O, I], optionally bias [O] -> x weight^T + bias, [N, O].
        case linear
        /// x [T, heads * headDim] -> the same shape, turned by position.
        case rope(Rope)
        /// q [T, heads * headDim], k and v [T, kvHeads * headDim] -> [T, heads * headDim]. Adds k and v to the KV of the operation's layer,
        /// then attends causally over the sequence.
        case attention(Attention)
        /// gate [N, F], up [N, F] -> gate * sigmoid(gate) * up.
        case swiglu
        /// a [N, D], b [N, D] or [D] -> a + b.
        case add
        /// a [N, D], b [N, D] or [D] -> a * b.
        case mul
        /// x -> cap * tanh(x / cap).
        case softcap(cap: Float)
        /// x [T, D] -> [R, D]: the rows that need logits.
        case selectRows
    }

    /// Rotary embedding: pair i of the first `dimensions` of each head is turned by position * scale * base^(-2i / dimensions).
    /// Source: Su et al., RoFormer, arXiv 2104.09864.
    public struct Rope: Sendable, Hashable {
        public enum Style: Sendable, Hashable {
            /// Pairs (2i, 2i + 1), as GGUF stores the Llama family.
            case interleaved
            /// Pairs (i, i + dimensions / 2).
            case splitHalf
        }

        public var heads: Int
        public var headDim: Int
        public var dimensions: Int
        public var base: Float
        public var scale: Float
        public var style: Style
    }

    public struct Attention: Sendable, Hashable {
        public var heads: Int
        /// Divides `heads`.
        public var kvHeads: Int
        public var headDim: Int
        /// On q.k before softmax: 1 / sqrt(headDim).
        public var scale: Float
    }
}
