import CDriver

/// Calls into another driver's tables, with its words on failure.
struct PeerCalls: @unchecked Sendable {
    let peer: Peer
    let kv: UnsafePointer<baton_kv_table>?

    init(_ peer: Peer) {
        self.peer = peer
        kv = "baton.kv".withContractString { peer.driver.pointee.get_interface?($0, 1) }?.assumingMemoryBound(to: baton_kv_table.self)
    }

    var device: OpaquePointer { peer.device }
    var buffers: baton_buffer_table { peer.driver.pointee.buffer.pointee }
    var programs: baton_program_table { peer.driver.pointee.program.pointee }
    var timelines: baton_timeline_table { peer.driver.pointee.timeline.pointee }

    func slot<F>(_ function: F?, _ name: String) throws(DriverFailure) -> F {
        guard let function else { throw DriverFailure(.unimplemented, "the engine's driver has no \(name)") }
        return function
    }

    func call(_ body: (UnsafeMutablePointer<baton_status>) -> baton_code) throws(DriverFailure) {
        var status = baton_status()
        status.size = UInt32(MemoryLayout<baton_status>.size)
        let code = body(&status)
        guard code == 0 else { throw DriverFailure(code, &status) }
    }

    /// A handle that the peer made.
    func make(_ what: String, _ body: (UnsafeMutablePointer<OpaquePointer?>, UnsafeMutablePointer<baton_status>) -> baton_code) throws(DriverFailure) -> OpaquePointer {
        var handle: OpaquePointer?
        try call { status in body(&handle, status) }
        guard let handle else { throw DriverFailure(.internal, "the engine's driver said OK and gave no \(what)") }
        return handle
    }
}
