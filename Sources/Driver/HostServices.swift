package import CDriver
import Glibc
import Synchronization
public import Logging

/// What the host gives to drivers: log, worker pool, devices of other drivers. One for the process, kept until it ends,
/// because drivers stay loaded and may call at any time.
public final class HostServices: @unchecked Sendable {
    public let workers: WorkerPool
    /// The range of contract versions this host speaks.
    public let abi: ABIRange
    let logger: Logger
    private let captured = Mutex<[String]?>(nil)
    /// Finds drivers for `open_device`; set once by the catalog before any driver is loaded, and kept with the drivers, which stay for ever.
    nonisolated(unsafe) var catalog: DriverCatalog?
    /// The struct that drivers hold. Its address is stable and is never freed.
    package let contract: UnsafeMutablePointer<baton_host>

    /// - Parameter abi: the range to offer; other than the default only to test version skew.
    public init(workers: WorkerPool = WorkerPool(), logger: Logger = Logger(label: "baton.driver"), abi: ABIRange = .host) {
        self.workers = workers
        self.logger = logger
        self.abi = abi
        contract = .allocate(capacity: 1)
        contract.initialize(to: .sized())
        contract.pointee.worker_count = UInt32(workers.count)
        contract.pointee.abi_min = abi.minimum.raw
        contract.pointee.abi_max = abi.maximum.raw
        contract.pointee.context = Unmanaged.passRetained(self).toOpaque()
        contract.pointee.log = { HostServices.from($0)?.log(level: $1, String($2)) }
        contract.pointee.parallel_for = { context, count, grain, body, user in
            guard let body, let context else { return DriverError.Code.invalidArgument.rawValue }
            let pool = Unmanaged<HostServices>.fromOpaque(context)._withUnsafeGuaranteedRef { $0.workers }
            pool.run(count: count, grain: grain, body: body, user: user)
            return 0
        }
        contract.pointee.open_device = { context, name, options, out, status in
            guard let host = HostServices.from(context), let out else { return DriverError.Code.invalidArgument.rawValue }
            return host.openPeer(String(name), DriverOptions(options), into: out, status)
        }
        contract.pointee.close_device = { _, peer in HostServices.closePeer(peer) }
        contract.pointee.get_interface = { _, _, _ in nil }
    }

    private static func from(_ context: UnsafeMutableRawPointer?) -> HostServices? {
        context.map { Unmanaged<HostServices>.fromOpaque($0).takeUnretainedValue() }
    }

    /// What drivers logged while `body` ran, beside what it gives: the words of one that refuses to start.
    func capturing<R>(_ body: () -> R) -> (R, [String]) {
        captured.withLock { $0 = [] }
        let result = body()
        return (result, captured.withLock { lines in
            defer { lines = nil }
            return lines ?? []
        })
    }

    /// Logs what was captured and turned out not to be a refusal.
    func replay(_ lines: [String]) { for line in lines { logger.info("\(line)") } }

    private func log(level: Int32, _ line: String) {
        let taken = captured.withLock { lines -> Bool in
            guard lines != nil else { return false }
            lines?.append(line)
            return true
        }
        if taken { return }
        let levels: [Int32: Logger.Level] = [1: .debug, 2: .info, 3: .warning, 4: .error]
        logger.log(level: levels[level] ?? .info, "\(line)")
    }

    private func openPeer(
        _ name: String, _ options: DriverOptions, into out: UnsafeMutablePointer<baton_peer>,
        _ status: UnsafeMutablePointer<baton_status>?
    ) -> baton_code {
        do throws(DriverError) {
            guard let catalog else {
                throw DriverError(.notFound, driver: name, call: "open_device", detail: "the host has no catalog of drivers")
            }
            let library = try catalog.load(name)
            out.pointee.device = try library.openRaw(options)
            out.pointee.driver = UnsafePointer(library.rawDriver)
            return 0
        } catch {
            error.write(to: status)
            return error.code.rawValue
        }
    }

    private static func closePeer(_ peer: UnsafeMutablePointer<baton_peer>?) {
        guard let peer, let device = peer.pointee.device, let table = peer.pointee.driver?.pointee.device else { return }
        _ = table.pointee.quiesce?(device, 5_000_000_000, nil)
        table.pointee.close?(device)
        peer.pointee.device = nil
    }
}

extension DriverError {
    /// Writes this failure where a driver asked for it.
    func write(to status: UnsafeMutablePointer<baton_status>?) {
        guard let status else { return }
        status.pointee.code = code.rawValue
        status.pointee.vendor_code = vendorCode
        let words = Array("\(driver): \(detail)".utf8.prefix(492))
        status.pointee.message_length = UInt32(words.count)
        withUnsafeMutableBytes(of: &status.pointee.message) { $0.copyBytes(from: words) }
    }
}
