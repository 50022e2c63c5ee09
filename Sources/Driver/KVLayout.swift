import CDriver

/// An axis of exchanged KV. `plane` has two entries: K, then V.
public enum KVAxis: UInt8, Sendable, Hashable, CaseIterable {
    case layer = 1, block, plane, head, token, dim
}

/// How exchanged KV lies in memory: a dense array of `dtype` whose axes are in the order `axes`, slowest first.
public struct KVLayout: Sendable, Hashable {
    public var dtype: DType
    public var axes: [KVAxis]
    public var blockTokens: Int
    public var kvHeads: Int
    public var headDim: Int
    /// Layers of the pool.
    public var layers: Int
    /// K is stored after rope.
    public var ropeApplied: Bool
    public var ropeStyle: RopeStyle
    /// 0: no scales.
    public var scaleMode: UInt32

    public init(
        dtype: DType, axes: [KVAxis], blockTokens: Int, kvHeads: Int, headDim: Int, layers: Int, ropeApplied: Bool = true,
        ropeStyle: RopeStyle = .interleaved, scaleMode: UInt32 = 0
    ) {
        self.dtype = dtype
        self.axes = axes
        self.blockTokens = blockTokens
        self.kvHeads = kvHeads
        self.headDim = headDim
        self.layers = layers
        self.ropeApplied = ropeApplied
        self.ropeStyle = ropeStyle
        self.scaleMode = scaleMode
    }

    /// Nil when the driver's layout is not one: an axis missing or doubled, or a zero extent.
    init?(_ raw: baton_kv_layout) {
        let axes = withUnsafeBytes(of: raw.axes) { $0.prefix(6).compactMap { KVAxis(rawValue: $0) } }
        guard Set(axes).count == 6, raw.block_tokens > 0, raw.kv_heads > 0, raw.head_dim > 0,
            let style = RopeStyle(rawValue: raw.rope_style)
        else { return nil }
        self.init(
            dtype: DType(rawValue: raw.dtype), axes: axes, blockTokens: Int(raw.block_tokens), kvHeads: Int(raw.kv_heads),
            headDim: Int(raw.head_dim), layers: Int(raw.layers), ropeApplied: raw.rope_applied == 1, ropeStyle: style,
            scaleMode: raw.scale_mode)
    }

    var raw: baton_kv_layout {
        var raw = baton_kv_layout.sized()
        raw.dtype = dtype.rawValue
        withUnsafeMutableBytes(of: &raw.axes) { $0.copyBytes(from: axes.map(\.rawValue)) }
        raw.block_tokens = UInt32(blockTokens)
        raw.kv_heads = UInt32(kvHeads)
        raw.head_dim = UInt32(headDim)
        raw.layers = UInt32(layers)
        raw.rope_applied = ropeApplied ? 1 : 0
        raw.rope_style = ropeStyle.rawValue
        raw.scale_mode = scaleMode
        return raw
    }

    /// Entries along an axis, for a range of `layers` layers and `blocks` blocks.
    public func extent(_ axis: KVAxis, layers: Int, blocks: Int) -> Int {
        switch axis {
        case .layer: layers
        case .block: blocks
        case .plane: 2
        case .head: kvHeads
        case .token: blockTokens
        case .dim: headDim
        }
    }

    /// Bytes of one block of one layer, both planes.
    public var bytesPerBlockLayer: Int { dtype.bytes(2 * kvHeads * blockTokens * headDim) }

    /// Blocks that hold `tokens` tokens.
    public func blocks(for tokens: Int) -> Int { (tokens + blockTokens - 1) / blockTokens }
}

extension KVLayout: CustomStringConvertible {
    /// "bf16[layer,block,plane,head,dim,token] 32 tokens/block"
    public var description: String {
        "\(dtype)[\(axes.map { "\($0)" }.joined(separator: ","))] \(blockTokens) tokens/block"
    }
}
