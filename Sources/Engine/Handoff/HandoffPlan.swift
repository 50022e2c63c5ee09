public import Driver

/// How KV gets from one device's layout to another's. Computed once for a pair of devices, before either is opened, and shown by `explain`.
public struct HandoffPlan: Sendable, Hashable {
    /// What has to be done to the bytes between export and import.
    public struct Conversion: OptionSet, Sendable, Hashable {
        public let rawValue: Int
        public init(rawValue: Int) { self.rawValue = rawValue }
        /// The order of the axes changes.
        public static let permute = Conversion(rawValue: 1)
        /// The tokens per block change.
        public static let regroup = Conversion(rawValue: 2)
        /// The dtype changes.
        public static let cast = Conversion(rawValue: 4)
    }

    /// What the prefill device exports, and what the decode device imports.
    public var from: KVLayout
    public var to: KVLayout
    public var conversion: Conversion
    /// Both devices may see one memory: the block table changes hands and no byte moves.
    public var adopts: Bool
    /// Tokens in a piece are a multiple of this, so that pieces are whole blocks on both sides.
    public var tokenStep: Int

    /// KV bytes of `tokens` tokens in `layers` layers as they are exported, whole blocks counted.
    public func wireBytes(tokens: Int, layers: Int) -> Int { from.blocks(for: tokens) * layers * from.bytesPerBlockLayer }
    /// The same as they are imported.
    public func importBytes(tokens: Int, layers: Int) -> Int { to.blocks(for: tokens) * layers * to.bytesPerBlockLayer }
    /// Times a byte is written on its way: export, conversion in host memory if any, import.
    public var copies: Int { adopts ? 0 : conversion.isEmpty ? 2 : 3 }

    /// The cheapest pair of layouts: fewest conversions, then the drivers' own order.
    /// - Parameters:
    ///   - wire: the dtype the manifest asks for on the wire: one side must exchange KV in it. Nil for whatever is cheapest.
    ///   - sharesMemory: the devices can see one memory, so that equal first layouts can be adopted.
    public init(
        exports: [KVLayout], imports: [KVLayout], wire: DType? = nil, sharesMemory: Bool = false
    ) throws(EngineError) {
        var best: (rank: Int, from: KVLayout, to: KVLayout, conversion: Conversion)?
        for (i, from) in exports.enumerated() where Self.usable(from) {
            for (j, to) in imports.enumerated() {
                guard wire == nil || from.dtype == wire || to.dtype == wire, let conversion = Self.conversion(from: from, to: to) else { continue }
                let rank = Self.weight(conversion) * 4096 + (i + j)
                if rank < (best?.rank ?? .max) { best = (rank, from, to, conversion) }
            }
        }
        guard let best else { throw Self.noPair(exports, imports, wire) }
        from = best.from
        to = best.to
        conversion = best.conversion
        adopts = sharesMemory && best.conversion.isEmpty && exports.first == best.from && imports.first == best.to
        tokenStep = Self.leastCommonMultiple(from.blockTokens, to.blockTokens)
    }

    private static func usable(_ layout: KVLayout) -> Bool {
        [.f32, .f16, .bf16].contains(layout.dtype) && layout.scaleMode == 0
    }

    /// What changes between two layouts; nil when the host cannot make that change.
    static func conversion(from: KVLayout, to: KVLayout) -> Conversion? {
        guard from.kvHeads == to.kvHeads, from.headDim == to.headDim, from.ropeApplied == to.ropeApplied,
            from.ropeStyle == to.ropeStyle, to.scaleMode == 0, [.f32, .f16, .bf16].contains(to.dtype)
        else { return nil }
        var conversion: Conversion = []
        if from.axes != to.axes { conversion.insert(.permute) }
        if from.blockTokens != to.blockTokens { conversion.insert(.regroup) }
        if from.dtype != to.dtype { conversion.insert(.cast) }
        return conversion
    }

    private static func weight(_ conversion: Conversion) -> Int {
        (conversion.contains(.cast) ? 4 : 0) + (conversion.contains(.regroup) ? 2 : 0) + (conversion.contains(.permute) ? 1 : 0)
    }

    private static func noPair(_ exports: [KVLayout], _ imports: [KVLayout], _ wire: DType?) -> EngineError {
        let offers = exports.map(\.description).joined(separator: "; ")
        let takes = imports.map(\.description).joined(separator: "; ")
        return EngineError(
            .placement, "no way to hand KV over: the prefill device exports \(offers), the decode device imports \(takes)\(wire.map { ", on the wire \($0)" } ?? ""); choose devices whose layouts differ in axes, block size or dtype only")
    }

    private static func leastCommonMultiple(_ a: Int, _ b: Int) -> Int {
        var (x, y) = (a, b)
        while y != 0 { (x, y) = (y, x % y) }
        return a / x * b
    }
}

extension HandoffPlan.Conversion: CustomStringConvertible {
    public var description: String {
        let names = [(Self.permute, "permute"), (.regroup, "regroup"), (.cast, "cast")].filter { contains($0.0) }.map(\.1)
        return names.isEmpty ? "identity" : names.joined(separator: "+")
    }
}

extension HandoffPlan: CustomStringConvertible {
    /// "adopt", "identity", or such as "permute+regroup+cast bf16->f16, staged in host memory".
    public var description: String {
        if adopts { return "adopt" }
        if conversion.isEmpty { return "identity" }
        let dtypes = conversion.contains(.cast) ? " \(from.dtype)->\(to.dtype)" : ""
        return "\(conversion)\(dtypes)"
    }
}
