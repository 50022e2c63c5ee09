import CDriver

/// The engine that is the reference: a device of the driver `cpu`, opened through the host with the modelled device's own numerics.
public final class ReferenceEngine: DeviceEngine, @unchecked Sendable {
    private let host: Host
    private let calls: PeerCalls
    /// Signalled by runs, by their layers, and by copies; used by one thread each.
    private let runs: OpaquePointer
    private let layers: OpaquePointer
    private var runValue: UInt64 = 0
    private var layerValue: UInt64 = 0

    /// Opens the device. `options` are the driver's own.
    public init(host: Host, driver: String = "cpu", options: [(key: String, value: String)]) throws(DriverFailure) {
        self.host = host
        let peer = try host.openPeer(driver, options)
        let calls = PeerCalls(peer)
        self.calls = calls
        do throws(DriverFailure) {
            let create = try calls.slot(calls.timelines.create, "timelines")
            runs = try calls.make("timeline") { create(calls.device, 0, $0, $1) }
            layers = try calls.make("timeline") { create(calls.device, 0, $0, $1) }
        } catch {
            host.closePeer(peer)
            throw error
        }
    }

    public func close() {
        calls.timelines.release?(calls.device, runs)
        calls.timelines.release?(calls.device, layers)
        host.closePeer(calls.peer)
    }

    public func allocate(_ bytes: Int) throws(DriverFailure) -> any BufferImplementation {
        let allocate = try calls.slot(calls.buffers.allocate, "allocate")
        return PeerBuffer(calls, try calls.make("buffer") { allocate(calls.device, UInt64(bytes), $0, $1) }, bytes)
    }

    public func importMemory(_ memory: Memory, access: Access) throws(DriverFailure) -> any BufferImplementation {
        let take = try calls.slot(calls.buffers.import_memory, "import_memory")
        var raw = memory.contract
        return PeerBuffer(calls, try calls.make("buffer") { take(calls.device, &raw, access.rawValue, $0, $1) }, memory.length)
    }

    public func compile(_ program: ProgramDescription) throws(DriverFailure) -> any ProgramImplementation {
        let compile = try calls.slot(calls.programs.compile, "compile")
        let handle = try calls.make("program") { out, status in
            program.withContract(places: program.places) { compile(calls.device, $0, out, status) }
        }
        return PeerProgram(calls, handle, program)
    }

    public func createPool(_ pool: KVPoolDescription) throws(DriverFailure) -> any PoolImplementation {
        let create = try calls.slot(calls.kv?.pointee.create, "KV pools")
        var raw = pool.contract
        return PeerPool(calls, try calls.make("pool") { create(calls.device, &raw, $0, $1) }, pool)
    }

    public func run(_ program: any ProgramImplementation, _ batch: Batch, layerDone: (Int) -> Void) throws(DriverFailure) {
        guard let program = program as? PeerProgram else { throw DriverFailure(.invalidArgument, "a program of another engine") }
        let submit = try calls.slot(calls.programs.submit, "submit")
        let wait = try calls.slot(calls.timelines.wait, "wait")
        let base = layerValue
        let count = UInt64(program.description.layerCount)
        var signal = baton_point(timeline: runs, value: runValue + 1)
        try withUnsafePointer(to: &signal) { (signal: UnsafePointer<baton_point>) throws(DriverFailure) in
            var sync = baton_sync.sized()
            sync.signal_count = 1
            sync.signals = signal
            sync.layer_timeline = layers
            sync.layer_base = base
            try calls.call { status in
                batch.withContract(pool: (batch.pool as? PeerPool)?.handle, places: batch.places) {
                    submit(calls.device, program.handle, $0, &sync, status)
                }
            }
        }
        runValue += 1
        layerValue += count
        var event = baton_event.sized()
        for index in 0..<count {
            try calls.call { wait(calls.device, layers, base + index + 1, .max, &event, $0) }
            layerDone(Int(index))
        }
        try calls.call { wait(calls.device, runs, runValue, .max, &event, $0) }
    }

    public func exportRange(_ pool: any PoolImplementation, _ range: KVRange, _ layout: KVLayout, to memory: Memory) throws(DriverFailure) {
        try transfer(pool, range, layout, memory, try calls.slot(calls.kv?.pointee.export_range, "KV export"))
    }

    public func importRange(_ pool: any PoolImplementation, _ range: KVRange, _ layout: KVLayout, from memory: Memory) throws(DriverFailure) {
        try transfer(pool, range, layout, memory, try calls.slot(calls.kv?.pointee.import_range, "KV import"))
    }

    private typealias Transfer = @convention(c) (
        OpaquePointer?, OpaquePointer?, UnsafePointer<baton_kv_range>?, UnsafePointer<baton_kv_layout>?, UnsafePointer<baton_memory>?,
        UnsafePointer<baton_sync>?, UnsafeMutablePointer<baton_status>?
    ) -> baton_code

    /// On the peer's copy queue, so that it runs beside a batch.
    private func transfer(_ pool: any PoolImplementation, _ range: KVRange, _ layout: KVLayout, _ memory: Memory, _ function: Transfer) throws(DriverFailure) {
        guard let pool = pool as? PeerPool else { throw DriverFailure(.invalidArgument, "a pool of another engine") }
        var (layout, memory) = (layout.contract, memory.contract)
        try calls.call { status in
            range.withContract { function(calls.device, pool.handle, $0, &layout, &memory, nil, status) }
        }
    }

    public func copyBlocks(_ pool: any PoolImplementation, _ pairs: [(from: UInt32, to: UInt32)]) throws(DriverFailure) {
        guard let pool = pool as? PeerPool else { throw DriverFailure(.invalidArgument, "a pool of another engine") }
        let copy = try calls.slot(calls.kv?.pointee.copy_blocks, "copy_blocks")
        try calls.call { copy(calls.device, pool.handle, pairs.map(\.from), pairs.map(\.to), UInt32(pairs.count), nil, $0) }
    }
}

/// A buffer of the peer.
final class PeerBuffer: BufferImplementation, @unchecked Sendable {
    let length: Int
    let handle: OpaquePointer
    private let calls: PeerCalls

    init(_ calls: PeerCalls, _ handle: OpaquePointer, _ length: Int) {
        self.calls = calls
        self.handle = handle
        self.length = length
    }

    deinit { calls.buffers.release?(calls.device, handle) }

    func write(_ offset: Int, _ source: UnsafeRawBufferPointer) throws(DriverFailure) {
        let write = try calls.slot(calls.buffers.write, "write")
        try calls.call { write(calls.device, handle, UInt64(offset), source.baseAddress, UInt64(source.count), $0) }
    }

    func read(_ offset: Int, into target: UnsafeMutableRawBufferPointer) throws(DriverFailure) {
        let read = try calls.slot(calls.buffers.read, "read")
        try calls.call { read(calls.device, handle, UInt64(offset), target.baseAddress, UInt64(target.count), $0) }
    }
}

/// A program of the peer, and the model's own description of it.
final class PeerProgram: ProgramImplementation, @unchecked Sendable {
    let description: ProgramDescription
    let handle: OpaquePointer
    private let calls: PeerCalls

    init(_ calls: PeerCalls, _ handle: OpaquePointer, _ description: ProgramDescription) {
        self.calls = calls
        self.handle = handle
        self.description = description
    }

    deinit { calls.programs.release?(calls.device, handle) }

    var info: ProgramInfo {
        ProgramInfo(weightBytes: UInt64(description.weightElements * 2), workspaceBytes: UInt64(description.maxTokens * description.activationWidth * 4))
    }
}

/// A pool of the peer.
final class PeerPool: PoolImplementation, @unchecked Sendable {
    let description: KVPoolDescription
    let handle: OpaquePointer
    private let calls: PeerCalls

    init(_ calls: PeerCalls, _ handle: OpaquePointer, _ description: KVPoolDescription) {
        self.calls = calls
        self.handle = handle
        self.description = description
    }

    deinit { calls.kv?.pointee.release?(calls.device, handle) }
}

extension ProgramDescription {
    /// Where the peer keeps each weight.
    fileprivate var places: [Int: Place] {
        var places: [Int: Place] = [:]
        for (index, tensor) in tensors.enumerated() {
            if let buffer = tensor.buffer as? PeerBuffer { places[index] = Place(buffer: buffer.handle, offset: UInt64(tensor.offset)) }
        }
        return places
    }
}

extension Batch {
    /// Where the peer keeps each bound tensor.
    fileprivate var places: [Int: ProgramDescription.Place] {
        var places: [Int: ProgramDescription.Place] = [:]
        for binding in bindings {
            if let buffer = binding.buffer as? PeerBuffer {
                places[binding.tensor] = ProgramDescription.Place(buffer: buffer.handle, offset: UInt64(binding.offset))
            }
        }
        return places
    }
}
