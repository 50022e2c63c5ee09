import CDriver

/// Which elements of a head rope turns together.
public enum RopeStyle: Int32, Sendable, Hashable { case interleaved = 1, splitHalf = 2 }

/// A pool of KV blocks. Every count is at least 1 and the storage's bytes fit in Int.
public struct KVPoolDescription: Sendable, Hashable {
    public var dtype: DType
    public var blockCount: Int
    public var blockTokens: Int
    /// Of the whole model.
    public var firstLayer: Int
    public var layers: Int
    public var kvHeads: Int
    public var headDim: Int
    public var ropeStyle: RopeStyle

    /// INVALID_ARGUMENT for a zero, or for a pool larger than memory can be.
    public init(
        dtype: DType, blockCount: Int, blockTokens: Int, firstLayer: Int, layers: Int, kvHeads: Int, headDim: Int, ropeStyle: RopeStyle
    ) throws(DriverFailure) {
        self.dtype = dtype
        self.blockCount = blockCount
        self.blockTokens = blockTokens
        self.firstLayer = firstLayer
        self.layers = layers
        self.kvHeads = kvHeads
        self.headDim = headDim
        self.ropeStyle = ropeStyle
        let counts = [blockCount, blockTokens, layers, kvHeads, headDim]
        guard counts.allSatisfy({ $0 > 0 }), firstLayer >= 0 else {
            throw .invalid("a pool of \(blockCount) blocks of \(blockTokens) tokens, \(layers) layers, \(kvHeads) heads of \(headDim): each must be at least 1")
        }
        var elements = 2
        for count in counts {
            let product = elements.multipliedReportingOverflow(by: count)
            guard !product.overflow else { throw .invalid("a pool of \(blockCount) blocks of \(blockTokens) tokens is larger than memory can be") }
            elements = product.partialValue
        }
        guard let bytes = dtype.bytes(elements) else { throw .invalid("a pool of \(elements) elements of \(dtype) is larger than memory can be") }
        byteCount = bytes
    }

    /// Bytes of K and V of all layers and blocks.
    public let byteCount: Int
    /// Elements of one plane of one block of one layer: tokens x heads x dim.
    public var planeElements: Int { blockTokens * kvHeads * headDim }
    /// Bytes of one block, K and V, all layers.
    public var blockBytes: Int { byteCount / blockCount }

    init(_ raw: UnsafePointer<baton_kv_pool_desc>?) throws(DriverFailure) {
        let desc = try baton_kv_pool_desc.read(raw, "the pool description")
        guard let style = RopeStyle(rawValue: desc.rope_style) else {
            throw .invalid("the pool description has the unknown rope style \(desc.rope_style); use 1 or 2")
        }
        try self.init(
            dtype: try DType(desc.dtype, "the pool description"), blockCount: Int(desc.block_count), blockTokens: Int(desc.block_tokens),
            firstLayer: Int(desc.first_layer), layers: Int(desc.layers), kvHeads: Int(desc.kv_heads), headDim: Int(desc.head_dim), ropeStyle: style)
    }
}

/// A part of a pool, inside it: some layers of some blocks. Layers are counted in the whole model.
public struct KVRange: Sendable, Hashable {
    public var firstLayer: Int
    public var layerCount: Int
    /// In the order of the exchanged array.
    public var blocks: [UInt32]
    /// Tokens that count in those blocks together.
    public var tokenCount: Int

    /// INVALID_ARGUMENT for a block or layer outside the pool, or more tokens than the blocks hold.
    public init(firstLayer: Int, layerCount: Int, blocks: [UInt32], tokenCount: Int, in pool: KVPoolDescription) throws(DriverFailure) {
        self.firstLayer = firstLayer
        self.layerCount = layerCount
        self.blocks = blocks
        self.tokenCount = tokenCount
        let last = pool.firstLayer + pool.layers
        guard layerCount > 0, firstLayer >= pool.firstLayer, layerCount <= last - firstLayer else {
            throw .invalid("layers \(firstLayer)..<\(firstLayer &+ layerCount) are not in the pool, which holds \(pool.firstLayer)..<\(last)")
        }
        guard !blocks.isEmpty else { throw .invalid("a range of no blocks; name at least one") }
        if let bad = blocks.first(where: { Int($0) >= pool.blockCount }) {
            throw .invalid("block \(bad) is not in the pool, which has \(pool.blockCount) blocks")
        }
        guard tokenCount <= blocks.count * pool.blockTokens else {
            throw .invalid("\(tokenCount) tokens are more than \(blocks.count) blocks of \(pool.blockTokens) hold")
        }
    }

    static let limit = 1 << 24

    init(_ raw: UnsafePointer<baton_kv_range>?, in pool: KVPoolDescription) throws(DriverFailure) {
        let range = try baton_kv_range.read(raw, "the range")
        guard Int(range.block_count) <= Self.limit else { throw .invalid("\(range.block_count) blocks in a range; at most \(Self.limit) can be given") }
        guard range.block_count == 0 || range.blocks != nil else { throw .invalid("the range's blocks are null and \(range.block_count) are stated") }
        try self.init(
            firstLayer: Int(range.first_layer), layerCount: Int(range.layer_count),
            blocks: Array(UnsafeBufferPointer(start: range.blocks, count: Int(range.block_count))), tokenCount: Int(range.token_count), in: pool)
    }
}
