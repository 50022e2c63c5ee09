import CDriver

/// Computes on another driver's device, the reference, in the modelled device's numerics: handles are wrapped and work is handed on.
public final class ReferenceEngine: DeviceEngine, @unchecked Sendable {
    private let session: PeerSession
    private let buffers: baton_buffer_table
    private let programs: baton_program_table
    private let pools: baton_kv_table
    private static let runQueue: UInt32 = 0
    private static let copyQueue: UInt32 = 1

    /// Opens the driver `cpu`. NOT_FOUND when the host cannot load it.
    public init(_ host: Host, _ options: [(key: String, value: String)]) throws(DriverFailure) {
        session = try PeerSession(host, "cpu", options)
        buffers = try session.table(session.peer.driver.pointee.buffer, "buffers")
        programs = try session.table(session.peer.driver.pointee.program, "programs")
        guard let kv = session.peer.interface(BATON_KV_INTERFACE, version: UInt32(BATON_KV_VERSION)) else {
            throw DriverFailure(.unimplemented, "the driver beneath has no KV pools")
        }
        pools = kv.assumingMemoryBound(to: baton_kv_table.self).pointee
    }

    public func health() throws(DriverFailure) {
        let table = try session.table(session.peer.driver.pointee.device, "devices")
        try session.peer.call(table.health, "say its health") { $0(session.device, $1) }
    }

    public func allocate(_ bytes: Int) throws(DriverFailure) -> any BufferImplementation {
        var handle: OpaquePointer?
        try session.peer.call(buffers.allocate, "allocate buffers") { $0(session.device, UInt64(bytes), &handle, $1) }
        return PeerBuffer(session, buffers, try session.made(handle, "buffer"), length: bytes)
    }

    public func importMemory(_ memory: Memory, access: Access) throws(DriverFailure) -> any BufferImplementation {
        var handle: OpaquePointer?
        var raw = memory.contract
        try session.peer.call(buffers.import_memory, "import memory") { $0(session.device, &raw, access.rawValue, &handle, $1) }
        return PeerBuffer(session, buffers, try session.made(handle, "buffer"), length: memory.length)
    }

    public func copy(
        from source: any BufferImplementation, _ sourceOffset: Int, to target: any BufferImplementation, _ targetOffset: Int, length: Int
    ) throws(DriverFailure) {
        let (from, to) = (try Self.buffer(source), try Self.buffer(target))
        try session.await(queue: Self.copyQueue) { sync throws(DriverFailure) in
            try session.peer.call(buffers.copy, "copy buffers") {
                $0(
                    session.device, to.handle, UInt64(targetOffset), session.device, from.handle, UInt64(sourceOffset), UInt64(length), sync, $1)
            }
        }
    }

    public func compile(_ program: ProgramDescription) throws(DriverFailure) -> any EngineProgram {
        var places: [Int: ProgramDescription.Place] = [:]
        for (index, tensor) in program.tensors.enumerated() where tensor.role == .weight {
            guard let buffer = tensor.buffer else { throw .invalid("weight '\(tensor.name)' has no buffer; give the one that holds it") }
            places[index] = ProgramDescription.Place(buffer: try Self.buffer(buffer).handle, offset: UInt64(tensor.offset))
        }
        var handle: OpaquePointer?
        try program.withContract(places: places) { desc in
            Result { () throws(DriverFailure) in
                try session.peer.call(programs.compile, "compile programs") { $0(session.device, desc, &handle, $1) }
            }
        }.get()
        return PeerProgram(session, programs, try session.made(handle, "program"), program)
    }

    public func createPool(_ pool: KVPoolDescription) throws(DriverFailure) -> any EnginePool {
        var handle: OpaquePointer?
        var raw = pool.contract
        try session.peer.call(pools.create, "make KV pools") { $0(session.device, &raw, &handle, $1) }
        return PeerPool(session, pools, try session.made(handle, "pool"))
    }

    public func run(
        _ program: any EngineProgram, _ batch: Batch, pool: (any EnginePool)?, layerDone: ((Int) -> Void)?
    ) throws(DriverFailure) {
        guard let program = program as? PeerProgram else { throw Self.foreign("program") }
        var places: [Int: ProgramDescription.Place] = [:]
        for binding in batch.bindings {
            places[binding.tensor] = ProgramDescription.Place(buffer: try Self.buffer(binding.buffer).handle, offset: UInt64(binding.offset))
        }
        let poolHandle = try pool.map { pool throws(DriverFailure) in try Self.pool(pool).handle }
        try session.await(queue: Self.runQueue, layers: layerDone != nil) { sync throws(DriverFailure) in
            try batch.withContract(pool: poolHandle, places: places) { raw in
                Result { () throws(DriverFailure) in
                    try session.peer.call(programs.submit, "run programs") { $0(session.device, program.handle, raw, sync, $1) }
                }
            }.get()
        } meanwhile: { timeline throws(DriverFailure) in
            for layer in program.kvLayers {
                try session.wait(timeline, UInt64(layer + 1))
                layerDone?(layer)
            }
        }
    }

    public func exportRange(_ pool: any EnginePool, _ range: KVRange, _ layout: KVLayout, to memory: Memory) throws(DriverFailure) {
        try move(pools.export_range, "export KV", pool, range, layout, memory)
    }

    public func importRange(_ pool: any EnginePool, _ range: KVRange, _ layout: KVLayout, from memory: Memory) throws(DriverFailure) {
        try move(pools.import_range, "import KV", pool, range, layout, memory)
    }

    private typealias Move = @convention(c) (
        OpaquePointer?, OpaquePointer?, UnsafePointer<baton_kv_range>?, UnsafePointer<baton_kv_layout>?, UnsafePointer<baton_memory>?,
        UnsafePointer<baton_sync>?, UnsafeMutablePointer<baton_status>?
    ) -> baton_code

    private func move(
        _ slot: Move?, _ what: String, _ pool: any EnginePool, _ range: KVRange, _ layout: KVLayout, _ memory: Memory
    ) throws(DriverFailure) {
        let pool = try Self.pool(pool)
        var rawLayout = layout.contract
        var rawMemory = memory.contract
        try session.await(queue: Self.copyQueue) { sync throws(DriverFailure) in
            try range.withContract { raw in
                Result { () throws(DriverFailure) in
                    try session.peer.call(slot, what) { $0(session.device, pool.handle, raw, &rawLayout, &rawMemory, sync, $1) }
                }
            }.get()
        }
    }

    public func copyBlocks(_ pool: any EnginePool, _ pairs: [(from: UInt32, to: UInt32)]) throws(DriverFailure) {
        let pool = try Self.pool(pool)
        let (from, to) = (pairs.map(\.from), pairs.map(\.to))
        try session.await(queue: Self.copyQueue) { sync throws(DriverFailure) in
            try session.peer.call(pools.copy_blocks, "copy KV blocks") {
                $0(session.device, pool.handle, from, to, UInt32(clamping: pairs.count), sync, $1)
            }
        }
    }

    private static func buffer(_ buffer: any BufferImplementation) throws(DriverFailure) -> PeerBuffer {
        if let buffer = buffer as? ModelBuffer { return try Self.buffer(buffer.engine) }
        guard let buffer = buffer as? PeerBuffer else { throw foreign("buffer") }
        return buffer
    }

    private static func pool(_ pool: any EnginePool) throws(DriverFailure) -> PeerPool {
        guard let pool = pool as? PeerPool else { throw foreign("pool") }
        return pool
    }

    private static func foreign(_ what: String) -> DriverFailure { .invalid("a \(what) that this device did not make; use one of its own") }
}
