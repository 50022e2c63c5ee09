/// A driver: what it is called, what it accepts, and how its devices are described and opened.
/// Threads: any; nothing here may block but `open`.
public protocol DriverDefinition {
    /// As in `libbaton-<name>.so`.
    static var name: String { get }
    static var version: String { get }
    static var vendor: String { get }
    static var options: [OptionDescription] { get }
    /// The device that `open` would give. Opens nothing. UNAVAILABLE when the hardware is absent.
    static func describe(_ options: Options) throws(DriverFailure) -> DeviceDescription
    static func open(_ options: Options, host: Host) throws(DriverFailure) -> any DeviceImplementation
    /// The interface "baton.cost", or nil when the driver lacks it. Default: nil.
    static var cost: (any CostImplementation.Type)? { get }
    /// Whether devices have KV pools: the interface "baton.kv". Default: true.
    static var hasKV: Bool { get }
    /// Exchange layouts, best first. Default: UNIMPLEMENTED.
    static func layouts(_ options: Options, _ pool: KVPoolDescription, importing: Bool) throws(DriverFailure) -> [KVLayout]
    /// A further interface: a table that begins with its size and lives as long as the process. Default: nil.
    static func interface(_ id: String, version: UInt32) -> UnsafeRawPointer?
}

extension DriverDefinition {
    public static var cost: (any CostImplementation.Type)? { nil }
    public static var hasKV: Bool { true }
    public static func layouts(_ options: Options, _ pool: KVPoolDescription, importing: Bool) throws(DriverFailure) -> [KVLayout] {
        throw .unimplemented("exchange KV")
    }
    public static func interface(_ id: String, version: UInt32) -> UnsafeRawPointer? { nil }
}

/// What work would take, asked before any device is opened. Does not block. Any thread.
public protocol CostImplementation {
    static func estimate(_ options: Options, _ program: ProgramDescription, _ work: Work) throws(DriverFailure) -> Cost
    static func memory(_ options: Options, _ program: ProgramDescription, kvTokens: Int, kvDType: DType) throws(DriverFailure) -> MemoryNeed
}

/// An open device. Threads: any, several at once. Work under a sync that is not immediate must be queued and must not block.
/// What is thrown here fails the call; later failures fail the timelines the sync signals.
public protocol DeviceImplementation: AnyObject, Sendable {
    var info: DeviceDescription { get }
    /// Throws while the device does not work.
    func health() throws(DriverFailure)
    /// Zeroed, aligned to 64 bytes; `bytes` is at least 1.
    func allocate(_ bytes: Int) throws(DriverFailure) -> any BufferImplementation
    /// A buffer over memory that outlives it.
    func importMemory(_ memory: Memory, access: Access) throws(DriverFailure) -> any BufferImplementation
    /// Ranges lie inside both buffers. `source` may belong to another device of this driver.
    func copy(
        from source: any BufferImplementation, _ sourceOffset: Int, to target: any BufferImplementation, _ targetOffset: Int, length: Int, _ sync: Sync
    ) throws(DriverFailure)
    /// Every weight has a buffer. May take minutes; calls `program.report`.
    func compile(_ program: ProgramDescription) throws(DriverFailure) -> any ProgramImplementation
    /// A pool of zeroed blocks.
    func createPool(_ pool: KVPoolDescription) throws(DriverFailure) -> any PoolImplementation
    func adoptPool(_ pool: KVPoolDescription, memory: Memory, layout: KVLayout) throws(DriverFailure) -> any PoolImplementation
    func sharePool(_ pool: any PoolImplementation, as kind: Memory.Kind) throws(DriverFailure) -> (memory: Memory, layout: KVLayout)
    func submit(_ program: any ProgramImplementation, _ batch: Batch, _ sync: Sync) throws(DriverFailure)
    func exportRange(_ pool: any PoolImplementation, _ range: KVRange, _ layout: KVLayout, to memory: Memory, _ sync: Sync) throws(DriverFailure)
    func importRange(_ pool: any PoolImplementation, _ range: KVRange, _ layout: KVLayout, from memory: Memory, _ sync: Sync) throws(DriverFailure)
    /// Whole blocks, all layers; every block is in the pool.
    func copyBlocks(_ pool: any PoolImplementation, _ pairs: [(from: UInt32, to: UInt32)], _ sync: Sync) throws(DriverFailure)
    /// Refuses new work, waits up to `timeout` nanoseconds, then cancels: `SubmissionQueue.quiesce(queues, timeout:)`.
    func quiesce(timeout: UInt64) throws(DriverFailure)
    /// Called once, after quiesce, when all handles are gone. Default: nothing.
    func close()
}

extension DeviceImplementation {
    public func health() throws(DriverFailure) {}
    public func allocate(_ bytes: Int) throws(DriverFailure) -> any BufferImplementation { throw .unimplemented("allocate buffers") }
    public func importMemory(_ memory: Memory, access: Access) throws(DriverFailure) -> any BufferImplementation {
        throw .unimplemented("import \(memory.kind) memory")
    }
    public func copy(
        from source: any BufferImplementation, _ sourceOffset: Int, to target: any BufferImplementation, _ targetOffset: Int, length: Int, _ sync: Sync
    ) throws(DriverFailure) { throw .unimplemented("copy between buffers") }
    public func compile(_ program: ProgramDescription) throws(DriverFailure) -> any ProgramImplementation { throw .unimplemented("compile programs") }
    public func createPool(_ pool: KVPoolDescription) throws(DriverFailure) -> any PoolImplementation { throw .unimplemented("hold KV") }
    public func adoptPool(_ pool: KVPoolDescription, memory: Memory, layout: KVLayout) throws(DriverFailure) -> any PoolImplementation {
        throw .unimplemented("adopt KV storage")
    }
    public func sharePool(_ pool: any PoolImplementation, as kind: Memory.Kind) throws(DriverFailure) -> (memory: Memory, layout: KVLayout) {
        throw .unimplemented("share KV storage as \(kind) memory")
    }
    public func submit(_ program: any ProgramImplementation, _ batch: Batch, _ sync: Sync) throws(DriverFailure) { throw .unimplemented("run programs") }
    public func exportRange(_ pool: any PoolImplementation, _ range: KVRange, _ layout: KVLayout, to memory: Memory, _ sync: Sync) throws(DriverFailure) {
        throw .unimplemented("export KV")
    }
    public func importRange(_ pool: any PoolImplementation, _ range: KVRange, _ layout: KVLayout, from memory: Memory, _ sync: Sync) throws(DriverFailure) {
        throw .unimplemented("import KV")
    }
    public func copyBlocks(_ pool: any PoolImplementation, _ pairs: [(from: UInt32, to: UInt32)], _ sync: Sync) throws(DriverFailure) {
        throw .unimplemented("copy KV blocks")
    }
    public func quiesce(timeout: UInt64) throws(DriverFailure) {}
    public func close() {}
}

/// Memory of a device. Freed when the last reference goes. Ranges given to it lie inside.
public protocol BufferImplementation: AnyObject, Sendable {
    /// Bytes.
    var length: Int { get }
    func write(_ offset: Int, _ source: UnsafeRawBufferPointer) throws(DriverFailure)
    func read(_ offset: Int, into target: UnsafeMutableRawBufferPointer) throws(DriverFailure)
    /// A host pointer to the first byte, until `unmap`. Default: UNIMPLEMENTED.
    func map(_ access: Access) throws(DriverFailure) -> UnsafeMutableRawPointer
    func unmap()
    /// Default: UNIMPLEMENTED.
    func export(as kind: Memory.Kind) throws(DriverFailure) -> Memory
}

extension BufferImplementation {
    public func map(_ access: Access) throws(DriverFailure) -> UnsafeMutableRawPointer { throw .unimplemented("show device memory to the host") }
    public func unmap() {}
    public func export(as kind: Memory.Kind) throws(DriverFailure) -> Memory { throw .unimplemented("name buffers as \(kind) memory") }
}

/// A compiled program. Freed when the last reference goes.
public protocol ProgramImplementation: AnyObject, Sendable {
    /// What it was compiled of; batches are checked against it.
    var description: ProgramDescription { get }
    var info: ProgramInfo { get }
}

/// A pool of KV blocks. Freed when the last reference goes.
public protocol PoolImplementation: AnyObject, Sendable {
    var description: KVPoolDescription { get }
}
