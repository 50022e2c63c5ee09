public import CDriver

/// How exchanged KV lies in memory: a dense array of `dtype` whose axes are in the order `axes`, slowest first.
public struct KVLayout: Sendable, Hashable {
    public enum Axis: UInt8, Sendable, Hashable, CaseIterable { case layer = 1, block = 2, plane = 3, head = 4, token = 5, dim = 6 }
    public enum ScaleMode: UInt32, Sendable, Hashable { case none = 0, block = 1, head = 2, token = 3 }

    public var dtype: DType
    /// Each axis once.
    public let axes: [Axis]
    public var blockTokens: Int
    public var kvHeads: Int
    public var headDim: Int
    /// Of the pool.
    public var layers: Int
    /// Whether K is stored after rope.
    public var ropeApplied: Bool
    public var ropeStyle: RopeStyle
    public var scaleMode: ScaleMode

    /// INVALID_ARGUMENT unless each of the six axes is named once.
    public init(
        for pool: KVPoolDescription, dtype: DType? = nil, axes: [Axis] = [.layer, .block, .plane, .token, .head, .dim], ropeApplied: Bool = true,
        scaleMode: ScaleMode = .none
    ) throws(DriverFailure) {
        guard axes.count == 6, Set(axes).count == 6 else { throw .invalid("a KV layout with the axes \(axes); name each of the six once") }
        self.axes = axes
        self.dtype = dtype ?? pool.dtype
        self.blockTokens = pool.blockTokens
        self.kvHeads = pool.kvHeads
        self.headDim = pool.headDim
        self.layers = pool.layers
        self.ropeApplied = ropeApplied
        self.ropeStyle = pool.ropeStyle
        self.scaleMode = scaleMode
    }

    init(_ raw: UnsafePointer<baton_kv_layout>?, of pool: KVPoolDescription) throws(DriverFailure) {
        let layout = try baton_kv_layout.read(raw, "the KV layout")
        let bytes = withUnsafeBytes(of: layout.axes) { Array($0) }
        let axes = bytes.prefix(6).compactMap { Axis(rawValue: $0) }
        guard bytes[6] == 0, bytes[7] == 0, axes.count == 6, Set(axes).count == 6 else {
            throw .invalid("a KV layout with the axes \(bytes); name each of 1 to 6 once, then zeros")
        }
        guard let style = RopeStyle(rawValue: layout.rope_style), let mode = ScaleMode(rawValue: layout.scale_mode), layout.rope_applied <= 1 else {
            throw .invalid("a KV layout with rope style \(layout.rope_style), rope applied \(layout.rope_applied), scale mode \(layout.scale_mode)")
        }
        self.axes = axes
        dtype = try DType(layout.dtype, "the KV layout")
        blockTokens = Int(layout.block_tokens)
        kvHeads = Int(layout.kv_heads)
        headDim = Int(layout.head_dim)
        layers = Int(layout.layers)
        ropeApplied = layout.rope_applied == 1
        ropeStyle = style
        scaleMode = mode
        guard blockTokens == pool.blockTokens, kvHeads == pool.kvHeads, headDim == pool.headDim, layers == pool.layers else {
            throw .invalid(
                "a KV layout of \(layers) layers, \(blockTokens) tokens a block, \(kvHeads) heads of \(headDim) for a pool of "
                    + "\(pool.layers), \(pool.blockTokens), \(pool.kvHeads) of \(pool.headDim)")
        }
    }

    /// The contract's form.
    public var contract: baton_kv_layout {
        var layout = baton_kv_layout.sized()
        layout.dtype = dtype.raw
        withUnsafeMutableBytes(of: &layout.axes) { bytes in
            for (index, axis) in axes.enumerated() { bytes[index] = axis.rawValue }
        }
        layout.block_tokens = UInt32(clamping: blockTokens)
        layout.kv_heads = UInt32(clamping: kvHeads)
        layout.head_dim = UInt32(clamping: headDim)
        layout.layers = UInt32(clamping: layers)
        layout.rope_applied = ropeApplied ? 1 : 0
        layout.rope_style = ropeStyle.rawValue
        layout.scale_mode = scaleMode.rawValue
        return layout
    }

    /// Steps of each axis, in elements, in an array of so many layers and blocks.
    public struct Strides: Sendable, Hashable {
        public internal(set) var layer = 0, block = 0, plane = 0, head = 0, token = 0, dim = 0
        /// Elements of the whole array.
        public internal(set) var count = 0
    }

    /// OUT_OF_RANGE when the array is larger than memory can be.
    public func strides(layers: Int, blocks: Int) throws(DriverFailure) -> Strides {
        var strides = Strides()
        var step = 1
        for axis in axes.reversed() {
            let extent: Int
            switch axis {
            case .layer: strides.layer = step; extent = layers
            case .block: strides.block = step; extent = blocks
            case .plane: strides.plane = step; extent = 2
            case .head: strides.head = step; extent = kvHeads
            case .token: strides.token = step; extent = blockTokens
            case .dim: strides.dim = step; extent = headDim
            }
            let (product, overflow) = step.multipliedReportingOverflow(by: extent)
            guard !overflow else { throw DriverFailure(.outOfRange, "KV of \(layers) layers and \(blocks) blocks is larger than memory can be") }
            step = product
        }
        strides.count = step
        return strides
    }

    /// Bytes of an array of so many layers and blocks, scales not counted.
    public func bytes(layers: Int, blocks: Int) throws(DriverFailure) -> Int {
        guard let bytes = dtype.bytes(try strides(layers: layers, blocks: blocks).count) else {
            throw DriverFailure(.outOfRange, "KV of \(layers) layers and \(blocks) blocks of \(dtype) is larger than memory can be")
        }
        return bytes
    }
}
