public import CDriver

/// The services the host gives. Valid until the process ends; any thread.
public struct Host: @unchecked Sendable {
    public enum Level: Int32, Sendable { case debug = 1, info = 2, warning = 3, error = 4 }

    private let raw: baton_host

    public init(_ host: UnsafePointer<baton_host>?) {
        guard let host else { raw = baton_host(); return }
        raw = baton_host.copy(UnsafeRawPointer(host), Int(host.pointee.size))
    }

    /// Threads that `parallelFor` uses, the caller's included.
    public var workerCount: Int { max(1, Int(raw.worker_count)) }

    /// Writes one line to the host's log. Does not block.
    public func log(_ level: Level, _ message: String) {
        guard let log = raw.log else { return }
        message.withContractString { log(raw.context, level.rawValue, $0) }
    }

    /// Runs `body(context, begin, end, worker)` over [0, count) in pieces of at least `grain`; returns when all are done. Allocates nothing.
    @inline(__always)
    public func parallelFor(_ count: Int, grain: Int, context: UnsafeMutableRawPointer?, _ body: baton_body) {
        guard count > 0 else { return }
        guard let run = raw.parallel_for, run(raw.context, UInt64(count), UInt64(max(grain, 1)), body, context) == 0 else {
            return body(context, 0, UInt64(count), 0)
        }
    }

    /// The same with a closure, which is lent to the workers without an allocation: `body(begin, end, worker)`.
    public func parallelFor(_ count: Int, grain: Int, _ body: (Int, Int, Int) -> Void) {
        withoutActuallyEscaping(body) { body in
            var lent = body
            withUnsafeMutablePointer(to: &lent) { pointer in
                parallelFor(count, grain: grain, context: UnsafeMutableRawPointer(pointer)) { context, begin, end, worker in
                    guard let context else { return }
                    context.assumingMemoryBound(to: ((Int, Int, Int) -> Void).self).pointee(Int(begin), Int(end), Int(worker))
                }
            }
        }
    }

    /// Opens a device of another driver. Ownership: the caller's, until `closePeer`. NOT_FOUND when no such driver can be loaded.
    public func openPeer(_ driver: String, _ options: [(key: String, value: String)] = []) throws(DriverFailure) -> Peer {
        guard let open = raw.open_device, raw.close_device != nil else { throw DriverFailure(.unimplemented, "the host opens no devices of other drivers") }
        var peer = baton_peer.sized()
        var status = baton_status()
        status.size = UInt32(MemoryLayout<baton_status>.size)
        let code = driver.withContractString { name in
            Self.lend(options) { options in open(raw.context, name, options, &peer, &status) }
        }
        guard code == 0 else { throw DriverFailure(code, &status) }
        guard let table = peer.driver, let device = peer.device else {
            throw DriverFailure(.internal, "the host opened '\(driver)' and gave no device")
        }
        return Peer(driver: table, device: device, raw: peer)
    }

    /// Quiesces and closes. Blocking: until the peer is idle.
    public func closePeer(_ peer: Peer) {
        var raw = peer.raw
        self.raw.close_device?(self.raw.context, &raw)
    }

    /// A further host interface, or nil.
    public func interface(_ id: String, version: UInt32) -> UnsafeRawPointer? {
        guard let find = raw.get_interface else { return nil }
        return id.withContractString { find(raw.context, $0, version) }
    }

    private static func lend<R>(_ options: [(key: String, value: String)], _ body: (UnsafePointer<baton_options>) -> R) -> R {
        let items = options.map { baton_option(key: Interned.text($0.key), value: Interned.text($0.value)) }
        return items.withUnsafeBufferPointer { items in
            var raw = baton_options.sized()
            raw.count = UInt32(clamping: items.count)
            raw.items = items.baseAddress
            return body(&raw)
        }
    }
}

/// Another driver's device: its tables and handle.
public struct Peer: @unchecked Sendable {
    public let driver: UnsafePointer<baton_driver>
    public let device: OpaquePointer
    let raw: baton_peer
}
