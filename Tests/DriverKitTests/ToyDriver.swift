import CDriver
import DriverKit
import Glibc
import Synchronization

/// A small driver over host memory: what the tests of the kit load.
enum ToyDriver: DriverDefinition {
    static let name = "toy"
    static let version = "1.2.3"
    static let vendor = "Baton tests"
    static let options = [
        OptionDescription("memory", .integer, default: "1048576", unit: "bytes", help: "Memory of the device.", min: 1, max: 1e9),
        OptionDescription("mode", .choice, default: "fast", choices: ["fast", "exact"], help: "How it computes."),
        OptionDescription("factor", .number, default: "0.5", help: "A number.", min: 0, max: 1),
        OptionDescription("checks", .boolean, default: "true", help: "Whether it checks."),
    ]

    static func describe(_ options: Options) throws(DriverFailure) -> DeviceDescription { ToyDevice.description(options) }
    static func open(_ options: Options, host: Host) throws(DriverFailure) -> any DeviceImplementation { ToyDevice(options) }
    static func layouts(_ options: Options, _ pool: KVPoolDescription, importing: Bool) throws(DriverFailure) -> [KVLayout] {
        [try KVLayout(for: pool, dtype: .f16), try KVLayout(for: pool)]
    }
}

final class ToyDevice: DeviceImplementation {
    static let closed = Atomic<Int>(0)
    let info: DeviceDescription
    let budget: MemoryBudget
    let queue = SubmissionQueue(depth: 4)

    static func description(_ options: Options) -> DeviceDescription {
        var info = DeviceDescription()
        info.name = "Toy"
        info.vendor = ToyDriver.vendor
        info.memoryBytes = UInt64(options.integer("memory"))
        info.weightDTypes = DTypes([.f32])
        info.kvDTypes = DTypes([.f32])
        info.shapes = .buckets([8, 16])
        return info
    }

    init(_ options: Options) {
        info = Self.description(options)
        budget = MemoryBudget(limit: options.integer("memory"))
    }

    func allocate(_ bytes: Int) throws(DriverFailure) -> any BufferImplementation {
        ToyBuffer(bytes, try budget.hold(bytes, for: "a buffer"))
    }

    func compile(_ program: ProgramDescription) throws(DriverFailure) -> any ProgramImplementation { ToyProgram(program) }
    func createPool(_ pool: KVPoolDescription) throws(DriverFailure) -> any PoolImplementation { ToyPool(pool) }

    /// Token 9 fails, token 8 takes 50 ms, others signal their two layers.
    func submit(_ program: any ProgramImplementation, _ batch: Batch, _ sync: Sync) throws(DriverFailure) {
        try queue.submit(sync) { () throws(DriverFailure) in
            let start = Clock.now()
            if batch.tokens.contains(9) { throw DriverFailure(.dataLoss, "token 9 is cursed") }
            if batch.tokens.contains(8) { usleep(50_000) }
            for layer in 0..<2 { sync.signalLayer(layer, .wall(since: start)) }
            return .wall(since: start)
        }
    }

    func exportRange(_ pool: any PoolImplementation, _ range: KVRange, _ layout: KVLayout, to memory: Memory, _ sync: Sync) throws(DriverFailure) {
        let host = try HostMemory(memory, access: .write)
        guard let pool = pool as? ToyPool else { throw DriverFailure(.internal, "another pool") }
        let transfer = try KVTransfer(.export, range, of: pool.description, storage: pool.storage, KVLayout(for: pool.description), array: host.base, layout)
        try queue.submit(sync) { () throws(DriverFailure) in
            withExtendedLifetime((host, pool)) { transfer.run() }
            return .wall(since: Clock.now())
        }
    }

    func quiesce(timeout: UInt64) throws(DriverFailure) { try queue.quiesce(timeout: timeout) }
    func close() { Self.closed.add(1, ordering: .relaxed) }
}

final class ToyBuffer: BufferImplementation, @unchecked Sendable {
    let length: Int
    let base: UnsafeMutableRawPointer
    private let hold: MemoryBudget.Reservation

    init(_ length: Int, _ hold: MemoryBudget.Reservation) {
        self.length = length
        self.hold = hold
        base = .allocate(byteCount: length, alignment: 64)
        memset(base, 0, length)
    }

    func write(_ offset: Int, _ source: UnsafeRawBufferPointer) throws(DriverFailure) { memcpy(base + offset, source.baseAddress!, source.count) }
    func read(_ offset: Int, into target: UnsafeMutableRawBufferPointer) throws(DriverFailure) { memcpy(target.baseAddress!, base + offset, target.count) }
    func export(as kind: Memory.Kind) throws(DriverFailure) -> Memory { .host(base, length: length) }
    deinit { base.deallocate() }
}

final class ToyProgram: ProgramImplementation {
    let description: ProgramDescription
    let info = ProgramInfo(buckets: [8, 16], weightBytes: 10, workspaceBytes: 20)
    /// What was compiled last, on any device of the tests; all compile the same.
    static let last = Mutex<ProgramDescription?>(nil)

    init(_ description: ProgramDescription) {
        self.description = description
        Self.last.withLock { $0 = description }
    }
}

final class ToyPool: PoolImplementation, @unchecked Sendable {
    let description: KVPoolDescription
    let storage: UnsafeMutableRawPointer
    init(_ description: KVPoolDescription) {
        self.description = description
        storage = .allocate(byteCount: description.byteCount, alignment: 64)
        memset(storage, 0, description.byteCount)
    }
    deinit { storage.deallocate() }
}
