import CDriver

/// An open peer, closed when the last object made on it has gone.
final class PeerSession: Sendable {
    private let host: Host
    let peer: Peer

    init(_ host: Host, _ driver: String, _ options: [(key: String, value: String)]) throws(DriverFailure) {
        self.host = host
        peer = try host.openPeer(driver, options)
    }

    deinit { host.closePeer(peer) }

    var device: OpaquePointer { peer.device }

    func table<T>(_ table: UnsafePointer<T>?, _ what: String) throws(DriverFailure) -> T {
        guard let table else { throw DriverFailure(.unimplemented, "the driver beneath has no table for \(what)") }
        return table.pointee
    }

    /// A handle the peer made.
    func made(_ handle: OpaquePointer?, _ what: String) throws(DriverFailure) -> OpaquePointer {
        guard let handle else { throw DriverFailure(.internal, "the driver beneath made no \(what) and gave no reason") }
        return handle
    }

    /// Makes a queued call on the peer and waits until its work has ended. `meanwhile` hears of the layer timeline, if `layers` wants one.
    func await(
        queue: UInt32, layers: Bool = false, _ call: (UnsafePointer<baton_sync>) throws(DriverFailure) -> Void,
        meanwhile: (OpaquePointer) throws(DriverFailure) -> Void = { (_: OpaquePointer) throws(DriverFailure) in }
    ) throws(DriverFailure) {
        let timelines = try table(peer.driver.pointee.timeline, "timelines")
        let done = try makeTimeline(timelines)
        defer { timelines.release?(device, done) }
        let progress = layers ? try makeTimeline(timelines) : nil
        defer { if let progress { timelines.release?(device, progress) } }
        var point = baton_point(timeline: done, value: 1)
        try withUnsafePointer(to: &point) { (point) throws(DriverFailure) in
            var sync = baton_sync.sized()
            sync.signals = point
            sync.signal_count = 1
            sync.queue = queue
            sync.layer_timeline = progress
            try call(&sync)
        }
        // The work's own timeline has the reason when a layer's fails, so that is asked either way.
        if let progress { _ = Result { () throws(DriverFailure) in try meanwhile(progress) } }
        try wait(done, 1)
    }

    private func makeTimeline(_ table: baton_timeline_table) throws(DriverFailure) -> OpaquePointer {
        var timeline: OpaquePointer?
        try peer.call(table.create, "make timelines") { $0(device, 0, &timeline, $1) }
        return try made(timeline, "timeline")
    }

    /// Blocks until a peer's timeline reaches `value`.
    func wait(_ timeline: OpaquePointer, _ value: UInt64) throws(DriverFailure) {
        let table = try table(peer.driver.pointee.timeline, "timelines")
        var event = baton_event.sized()
        try peer.call(table.wait, "wait on timelines") { $0(device, timeline, value, .max, &event, $1) }
    }
}

/// A buffer of the peer.
final class PeerBuffer: BufferImplementation, @unchecked Sendable {
    let length: Int
    let handle: OpaquePointer
    private let session: PeerSession
    private let table: baton_buffer_table

    init(_ session: PeerSession, _ table: baton_buffer_table, _ handle: OpaquePointer, length: Int) {
        self.session = session
        self.table = table
        self.handle = handle
        self.length = length
    }

    deinit { table.release?(session.device, handle) }

    func write(_ offset: Int, _ source: UnsafeRawBufferPointer) throws(DriverFailure) {
        try session.peer.call(table.write, "write buffers") {
            $0(session.device, handle, UInt64(offset), source.baseAddress, UInt64(source.count), $1)
        }
    }

    func read(_ offset: Int, into target: UnsafeMutableRawBufferPointer) throws(DriverFailure) {
        try session.peer.call(table.read, "read buffers") {
            $0(session.device, handle, UInt64(offset), target.baseAddress, UInt64(target.count), $1)
        }
    }

    func map(_ access: Access) throws(DriverFailure) -> UnsafeMutableRawPointer {
        var pointer: UnsafeMutableRawPointer?
        try session.peer.call(table.map, "map buffers") { $0(session.device, handle, access.rawValue, &pointer, $1) }
        guard let pointer else { throw DriverFailure(.internal, "the driver beneath mapped a buffer to nothing") }
        return pointer
    }

    func unmap() { table.unmap?(session.device, handle) }

    func export(as kind: Memory.Kind) throws(DriverFailure) -> Memory {
        var memory = baton_memory.sized()
        try session.peer.call(table.export_memory, "name buffers") { $0(session.device, handle, kind.rawValue, &memory, $1) }
        return try Memory(&memory)
    }
}

/// A program of the peer.
final class PeerProgram: EngineProgram, @unchecked Sendable {
    let handle: OpaquePointer
    /// The layers, from 0, whose KV it completes, in order.
    let kvLayers: [Int]
    private let session: PeerSession
    private let release: (@convention(c) (OpaquePointer?, OpaquePointer?) -> Void)?
    /// Weight buffers outlive the program.
    private let weights: [any BufferImplementation]

    init(_ session: PeerSession, _ table: baton_program_table, _ handle: OpaquePointer, _ program: ProgramDescription) {
        self.session = session
        self.handle = handle
        release = table.release
        kvLayers = Set(program.operations.filter { $0.kind == .attention }.map { $0.layer - program.firstLayer }).sorted()
        weights = program.tensors.compactMap(\.buffer)
    }

    deinit { release?(session.device, handle) }
}

/// A pool of the peer.
final class PeerPool: EnginePool, @unchecked Sendable {
    let handle: OpaquePointer
    private let session: PeerSession
    private let release: (@convention(c) (OpaquePointer?, OpaquePointer?) -> Void)?

    init(_ session: PeerSession, _ table: baton_kv_table, _ handle: OpaquePointer) {
        self.session = session
        self.handle = handle
        release = table.release
    }

    deinit { release?(session.device, handle) }
}
