import Synchronization

/// A stage as a graph of tensor operations, proven sound: every index, order, rank and shape rule holds.
public struct ProgramDescription: Sendable {
    public enum Role: Int32, Sendable, Hashable { case weight = 1, activation = 2, input = 3, output = 4 }

    public enum Dimension: Sendable, Hashable {
        case fixed(Int)
        /// T, tokens of the batch.
        case tokens
        /// R, rows wanted.
        case rows

        /// The count for a batch of `tokens` and `rows`.
        public func count(tokens: Int, rows: Int) -> Int {
            switch self {
            case .fixed(let count): count
            case .tokens: tokens
            case .rows: rows
            }
        }
    }

    public struct Tensor: Sendable {
        public var role: Role
        public var name: String
        public var dtype: DType
        /// One or two.
        public var shape: [Dimension]
        /// Weights: where the bytes are; nil in a description without weights.
        public var buffer: (any BufferImplementation)?
        /// Of the first byte in `buffer`; the weight lies inside it.
        public var offset: Int

        /// The last dimension, which is always a count.
        public var columns: Int { shape.last?.count(tokens: 0, rows: 0) ?? 0 }
        /// Elements for a batch of `tokens` and `rows`.
        public func elements(tokens: Int = 0, rows: Int = 0) -> Int { shape.reduce(1) { $0 * $1.count(tokens: tokens, rows: rows) } }
        /// Bytes of a weight as stored.
        public var byteCount: Int { dtype.bytes(elements()) ?? 0 }
    }

    public enum Kind: UInt32, Sendable, Hashable, CaseIterable {
        case embed = 1, rmsNorm = 2, linear = 3, rope = 4, attention = 5, swiglu = 6, add = 7, mul = 8, scale = 9, softcap = 10, selectRows = 11
    }

    /// One operation. Fields a kind does not use are 0.
    public struct Operation: Sendable {
        public var kind: Kind
        /// Of the whole model; -1 outside the layers.
        public var layer: Int
        /// Indices into `tensors`.
        public var inputs: [Int]
        public var output: Int
        public var heads = 0
        public var kvHeads = 0
        public var headDim = 0
        public var ropeDims = 0
        public var ropeStyle: RopeStyle?
        public var ropeBase: Float = 0
        public var ropeScale: Float = 0
        public var epsilon: Float = 0
        public var scale: Float = 0
        public var cap: Float = 0
        public var window = 0
    }

    public internal(set) var tensors: [Tensor] = []
    public internal(set) var operations: [Operation] = []
    public internal(set) var firstLayer = 0
    public internal(set) var layerCount = 0
    public internal(set) var kvHeads = 0
    public internal(set) var headDim = 0
    public internal(set) var maxTokens = 0
    public internal(set) var maxSequences = 0
    public internal(set) var maxContext = 0
    /// Rows of the embedding; nil when the program takes hidden states.
    public internal(set) var vocabulary: Int?
    /// Whether any operation is attention, so that a batch needs a pool.
    public internal(set) var needsPool = false
    /// The tensors of role input and output, which a batch binds to buffers.
    var boundTensors: [Int] = []
    var progress = Progress()

    /// Tells the host how far compiling is, 0 to 1. Does nothing once `compile` has returned.
    public func report(_ fraction: Double) { progress.report(min(max(fraction, 0), 1)) }

    /// Elements of a tensor for a batch of `tokens` and `rows`.
    public func elements(_ tensor: Int, tokens: Int, rows: Int) -> Int { tensors[tensor].elements(tokens: tokens, rows: rows) }
    /// Bytes of all weights as stored.
    public var weightBytes: Int { tensors.reduce(0) { $1.role == .weight ? Self.sum($0, $1.byteCount) : $0 } }
    public var inputs: [Int] { tensors.indices.filter { tensors[$0].role == .input } }
    public var outputs: [Int] { tensors.indices.filter { tensors[$0].role == .output } }
}

/// The host's wish to hear how far compiling is, which ends when compile returns.
final class Progress: Sendable {
    typealias Function = @convention(c) (UnsafeMutableRawPointer?, Double) -> Void

    private struct Listener: @unchecked Sendable {
        var function: Function
        var user: UnsafeMutableRawPointer?
    }

    private let listener: Mutex<Listener?>

    init(_ function: Function? = nil, _ user: UnsafeMutableRawPointer? = nil) {
        listener = Mutex(function.map { Listener(function: $0, user: user) })
    }

    func report(_ fraction: Double) {
        listener.withLock { listener in
            if let listener { listener.function(listener.user, fraction) }
        }
    }

    func end() { listener.withLock { $0 = nil } }
}

/// What compile made.
public struct ProgramInfo: Sendable, Hashable {
    /// Token buckets it was compiled for; empty when shapes are dynamic.
    public var buckets: [UInt32]
    /// Device memory its weights take, imported host memory not counted.
    public var weightBytes: UInt64
    /// Device memory it takes to run.
    public var workspaceBytes: UInt64

    public init(buckets: [UInt32] = [], weightBytes: UInt64, workspaceBytes: UInt64) {
        self.buckets = buckets
        self.weightBytes = weightBytes
        self.workspaceBytes = workspaceBytes
    }
}
