// SPDX-License-Identifier: Apache-2.0

/// The numbers that shape a decoder of the Llama family. Made only by checking (`init(checking:of:)`), so products of any three of
/// them with an element size fit in 63 bits.
public struct Hyperparameters: Sendable, Hashable, Codable {
    /// `general.architecture`, for example `llama`.
    public private(set) var architecture: String
    /// Transformer blocks.
    public private(set) var layers: Int
    /// Width of the hidden state, in elements.
    public private(set) var hidden: Int
    /// Width of the gated feed-forward, in elements.
    public private(set) var feedForward: Int
    public private(set) var heads: Int
    /// Divides `heads`.
    public private(set) var kvHeads: Int
    /// Elements of one head, of keys and values alike.
    public private(set) var headDim: Int
    public private(set) var vocabulary: Int
    /// Tokens the model was trained to attend over.
    public private(set) var contextLength: Int
    public private(set) var rmsEpsilon: Float
    public private(set) var ropeBase: Float
    /// Elements of each head that rotary embedding turns; even, at most `headDim`.
    public private(set) var ropeDimensions: Int
    /// Positions are multiplied by it: 1, or the inverse of a linear scaling factor.
    public private(set) var ropeScale: Float
    /// The output projection is the token embedding.
    public private(set) var tiedEmbeddings: Bool

    /// Values as some file states them, not yet checked. Nil where the file is silent and a default follows from the others.
    struct Stated {
        var architecture = "llama"
        var layers: UInt64 = 0
        var hidden: UInt64 = 0
        var feedForward: UInt64 = 0
        var heads: UInt64 = 0
        var kvHeads: UInt64?
        var headDim: UInt64?
        var vocabulary: UInt64 = 0
        var contextLength: UInt64 = 0
        var rmsEpsilon: Double = 1e-5
        var ropeBase: Double = 10_000
        var ropeDimensions: UInt64?
        var ropeFactor: Double = 1
        var tiedEmbeddings = false
    }

    /// Checks bounds and divisibility; errors name `file` and the key as `name` spells it.
    init(checking stated: Stated, of file: String, name: (Field) -> String) throws(ModelError) {
        func checked(_ value: UInt64, _ field: Field) throws(ModelError) -> Int {
            guard value >= 1, value <= UInt64(field.limit) else {
                throw Self.invalid(file, "\(name(field)) is \(value), where 1 to \(field.limit) is allowed")
            }
            return Int(value)
        }
        architecture = stated.architecture
        layers = try checked(stated.layers, .layers)
        hidden = try checked(stated.hidden, .hidden)
        feedForward = try checked(stated.feedForward, .feedForward)
        heads = try checked(stated.heads, .heads)
        kvHeads = try checked(stated.kvHeads ?? stated.heads, .kvHeads)
        headDim = try checked(stated.headDim ?? UInt64(hidden / heads), .headDim)
        vocabulary = try checked(stated.vocabulary, .vocabulary)
        contextLength = try checked(stated.contextLength, .contextLength)
        ropeDimensions = try checked(stated.ropeDimensions ?? UInt64(headDim), .ropeDimensions)
        rmsEpsilon = Float(stated.rmsEpsilon)
        ropeBase = Float(stated.ropeBase)
        ropeScale = Float(1 / stated.ropeFactor)
        tiedEmbeddings = stated.tiedEmbeddings
        try checkRelations(file, name, headDimIsStated: stated.headDim != nil)
        try checkFloats(file, name)
    }

    private func checkRelations(_ file: String, _ name: (Field) -> String, headDimIsStated: Bool) throws(ModelError) {
        if !headDimIsStated, hidden % heads != 0 {
            throw Self.invalid(file, "\(name(.heads)) is \(heads), which does not divide \(name(.hidden)) \(hidden)")
        }
        if heads % kvHeads != 0 {
            throw Self.invalid(file, "\(name(.kvHeads)) is \(kvHeads), which does not divide \(name(.heads)) \(heads)")
        }
        if ropeDimensions > headDim || ropeDimensions % 2 != 0 {
            throw Self.invalid(
                file, "\(name(.ropeDimensions)) is \(ropeDimensions), where an even number up to the head size \(headDim) is needed")
        }
    }

    private func checkFloats(_ file: String, _ name: (Field) -> String) throws(ModelError) {
        guard rmsEpsilon.isFinite, rmsEpsilon > 0, rmsEpsilon < 1 else {
            throw Self.invalid(file, "\(name(.rmsEpsilon)) is \(rmsEpsilon), where a number between 0 and 1 is needed")
        }
        guard ropeBase.isFinite, ropeBase >= 1 else {
            throw Self.invalid(file, "\(name(.ropeBase)) is \(ropeBase), where a number of at least 1 is needed")
        }
        guard ropeScale.isNormal, ropeScale > 0 else {
            throw Self.invalid(file, "\(name(.ropeFactor)) gives position scale \(ropeScale), where a number above 0 is needed")
        }
    }

    private static func invalid(_ file: String, _ problem: String) -> ModelError {
        ModelError(.invalid, file, problem, remedy: "use a sound file of the model")
    }
}

extension Hyperparameters {
    /// What a file can state; each source of hyperparameters has its own spelling.
    enum Field {
        case layers, hidden, feedForward, heads, kvHeads, headDim, vocabulary, contextLength
        case rmsEpsilon, ropeBase, ropeDimensions, ropeFactor

        /// The largest value accepted. With these, no count of parameters or bytes comes near 63 bits: the largest, layers x hidden x
        /// heads x head size, stays under 2^56.
        var limit: Int {
            switch self {
            case .layers: 1 << 10
            case .hidden, .ropeDimensions: 1 << 20
            case .feedForward: 1 << 24
            case .heads, .kvHeads: 1 << 14
            case .headDim: 1 << 12
            case .vocabulary: 1 << 26
            case .contextLength: 1 << 31
            case .rmsEpsilon, .ropeBase, .ropeFactor: 0
            }
        }
    }

    /// Bytes of keys and values that one token keeps in `layers` layers (all, when nil), at `bytesPerElement` each.
    public func kvBytesPerToken(bytesPerElement: Int, layers: Int? = nil) -> Int {
        2 * (layers ?? self.layers) * kvHeads * headDim * bytesPerElement
    }
}
