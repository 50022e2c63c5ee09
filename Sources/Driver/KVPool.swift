import CDriver

/// What a pool of KV blocks holds.
public struct KVPoolDescription: Sendable, Hashable {
    public var dtype: DType
    public var blockCount: Int
    public var blockTokens: Int
    /// Layers of the whole model that it holds.
    public var layers: Range<Int>
    public var kvHeads: Int
    public var headDim: Int
    public var ropeStyle: RopeStyle

    public init(
        dtype: DType, blockCount: Int, blockTokens: Int, layers: Range<Int>, kvHeads: Int, headDim: Int,
        ropeStyle: RopeStyle = .interleaved
    ) {
        self.dtype = dtype
        self.blockCount = blockCount
        self.blockTokens = blockTokens
        self.layers = layers
        self.kvHeads = kvHeads
        self.headDim = headDim
        self.ropeStyle = ropeStyle
    }

    var raw: baton_kv_pool_desc {
        var raw = baton_kv_pool_desc.sized()
        raw.dtype = dtype.rawValue
        raw.block_count = UInt32(clamping: blockCount)
        raw.block_tokens = UInt32(clamping: blockTokens)
        raw.first_layer = UInt32(clamping: layers.lowerBound)
        raw.layers = UInt32(clamping: layers.count)
        raw.kv_heads = UInt32(clamping: kvHeads)
        raw.head_dim = UInt32(clamping: headDim)
        raw.rope_style = ropeStyle.rawValue
        return raw
    }
}

/// Part of a pool: `layers` of the model, and blocks in order, of which `tokens` tokens count.
public struct KVRange: Sendable, Hashable {
    public var layers: Range<Int>
    public var blocks: [UInt32]
    public var tokens: Int

    public init(layers: Range<Int>, blocks: [UInt32], tokens: Int) {
        self.layers = layers
        self.blocks = blocks
        self.tokens = tokens
    }

    func withContract<R>(_ body: (UnsafePointer<baton_kv_range>) -> R) -> R {
        blocks.withUnsafeBufferPointer { blocks in
            var raw = baton_kv_range.sized()
            raw.first_layer = UInt32(clamping: layers.lowerBound)
            raw.layer_count = UInt32(clamping: layers.count)
            raw.block_count = UInt32(blocks.count)
            raw.blocks = blocks.baseAddress
            raw.token_count = UInt32(clamping: tokens)
            return body(&raw)
        }
    }
}

/// A device's storage of KV blocks. The host owns which block belongs to whom; the device owns what is behind an index.
/// Owned once; released when it goes.
public struct KVPool: ~Copyable, @unchecked Sendable {
    public let device: Device
    public let description: KVPoolDescription
    let handle: OpaquePointer

    /// A pool of zeroed blocks.
    public init(creating description: KVPoolDescription, on device: Device) throws(DriverError) {
        let table = try Self.table(device)
        let create = try slot(table.create, device.library.name, "kv create")
        var handle: OpaquePointer?
        var raw = description.raw
        try contractCall(device.library.name, "kv create") { create(device.handle, &raw, &handle, $0) }
        self.init(device, description, try given(handle, device, "kv create"))
    }

    /// A pool over storage that `sharer` names: the same block index means the same KV, and no byte moves. `sharer` outlives it.
    public init(adopting sharer: borrowing KVPool, as description: KVPoolDescription, on device: Device) throws(DriverError) {
        let theirs = try Self.table(sharer.device)
        let share = try slot(theirs.share, sharer.device.library.name, "kv share")
        let adopt = try slot(try Self.table(device).adopt, device.library.name, "kv adopt")
        var memory = baton_memory.sized()
        var layout = baton_kv_layout.sized()
        let sharerDevice = sharer.device.handle
        let sharerPool = sharer.handle
        try contractCall(sharer.device.library.name, "kv share") {
            share(sharerDevice, sharerPool, baton_memory_kind(BATON_MEMORY_HOST), &memory, &layout, $0)
        }
        var handle: OpaquePointer?
        var raw = description.raw
        try contractCall(device.library.name, "kv adopt") { adopt(device.handle, &raw, &memory, &layout, &handle, $0) }
        self.init(device, description, try given(handle, device, "kv adopt"))
    }

    private init(_ device: Device, _ description: KVPoolDescription, _ handle: OpaquePointer) {
        self.device = device
        self.description = description
        self.handle = handle
    }

    private static func table(_ device: Device) throws(DriverError) -> baton_kv_table {
        guard let kv = device.library.kv else {
            throw DriverError(.unimplemented, driver: device.library.name, call: "kv", detail: "the driver has no interface \(BATON_KV_INTERFACE)")
        }
        return kv
    }

    /// Queues writing a range of the pool into `memory` in `layout`. Memory and pool stay alive until the signal.
    public borrowing func export(_ range: KVRange, as layout: KVLayout, to memory: MemoryName, sync: Sync) throws(DriverError) {
        let export = try slot(try Self.table(device).export_range, device.library.name, "kv export")
        try transfer("kv export", export, range, layout, memory, sync)
    }

    /// Queues reading a range into the pool from `memory` in `layout`.
    public borrowing func `import`(_ range: KVRange, as layout: KVLayout, from memory: MemoryName, sync: Sync) throws(DriverError) {
        let importRange = try slot(try Self.table(device).import_range, device.library.name, "kv import")
        try transfer("kv import", importRange, range, layout, memory, sync)
    }

    private typealias Transfer = @convention(c) (
        OpaquePointer?, OpaquePointer?, UnsafePointer<baton_kv_range>?, UnsafePointer<baton_kv_layout>?, UnsafePointer<baton_memory>?,
        UnsafePointer<baton_sync>?, UnsafeMutablePointer<baton_status>?
    ) -> baton_code

    private borrowing func transfer(
        _ call: StaticString, _ function: Transfer, _ range: KVRange, _ layout: KVLayout, _ memory: MemoryName, _ sync: Sync
    ) throws(DriverError) {
        var rawLayout = layout.raw
        var rawMemory = memory.raw
        try contractCall(device.library.name, call) { status in
            range.withContract { range in
                sync.withContract { function(device.handle, handle, range, &rawLayout, &rawMemory, $0, status) }
            }
        }
    }

    /// Copies whole blocks inside the pool, all layers: `from[i]` to `to[i]`.
    public borrowing func copyBlocks(from: [UInt32], to: [UInt32], sync: Sync) throws(DriverError) {
        let copy = try slot(try Self.table(device).copy_blocks, device.library.name, "kv copy_blocks")
        guard from.count == to.count else {
            throw DriverError(.invalidArgument, driver: device.library.name, call: "kv copy_blocks", detail: "\(from.count) blocks to \(to.count) blocks")
        }
        try contractCall(device.library.name, "kv copy_blocks") { status in
            sync.withContract { copy(device.handle, handle, from, to, UInt32(from.count), $0, status) }
        }
    }

    deinit { device.library.kv?.release?(device.handle, handle) }
}

extension DriverLibrary {
    /// The exchange layouts for pools like `description`, best first. Opens nothing.
    public func layouts(
        of description: KVPoolDescription, importing: Bool, options: DriverOptions
    ) throws(DriverError) -> [KVLayout] {
        guard let kv else {
            throw DriverError(.unimplemented, driver: name, call: "kv layouts", detail: "the driver has no interface \(BATON_KV_INTERFACE)")
        }
        let layouts = try slot(kv.layouts, name, "kv layouts")
        var found = [baton_kv_layout](repeating: .sized(), count: 32)
        var count: UInt32 = 0
        var raw = description.raw
        try contractCall(name, "kv layouts") { status in
            options.withContract { layouts($0, &raw, importing ? 1 : 0, &found, UInt32(found.count), &count, status) }
        }
        return found.prefix(Int(min(count, 32))).compactMap { KVLayout($0) }
    }
}
