import BuildKit
@testable import Driver
import Glibc
import Logging
import Synchronization
import TestKit

/// The driver that does one harmful thing, built once, in children of its own.
final class Misbehaving: Sendable {
    static let folder = Result { try TemporaryFolder() }
    static let library = Result { try SharedLibrary.driver("misbehaves", in: folder.get()) }

    let catalog: DriverCatalog
    let library: DriverLibrary
    let log = Lines()

    /// What was logged.
    final class Lines: Sendable {
        private let lines = Mutex<[String]>([])
        func add(_ line: String) { lines.withLock { $0.append(line) } }
        var all: [String] { lines.withLock { $0 } }
    }

    private struct Handler: LogHandler {
        let lines: Lines
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.debug
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }
        func log(event: LogEvent) { lines.add("\(event.message)") }
    }

    init(_ change: (inout Isolation) -> Void = { _ in }) throws {
        let log = log
        let host = HostServices(workers: WorkerPool(threads: 1), logger: Logger(label: "test") { _ in Handler(lines: log) })
        catalog = DriverCatalog(host: host, search: DriverSearch(folders: []))
        var isolation = TestDrivers.isolation()
        isolation.restart.firstPause = 1_000_000
        change(&isolation)
        library = try catalog.load(Self.library.get(), isolation: isolation, label: "a")
    }

    func open(_ how: String) throws -> Device { try Device(opening: library, label: "a", options: ["how": how]) }

    /// Why a device that does `how` says it does not work.
    func failure(_ how: String) throws -> DriverError? {
        let device = try open(how)
        do throws(DriverError) {
            try device.checkHealth()
            return nil
        } catch { return error }
    }
}

/// What this process holds open.
enum Held {
    /// Descriptors that lead to children or to memory shared with them.
    static var descriptors: Int {
        guard let folder = opendir("/proc/self/fd") else { return -1 }
        defer { closedir(folder) }
        var count = 0
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) }
            var target = [CChar](repeating: 0, count: 256)
            guard readlink("/proc/self/fd/\(name)", &target, 255) > 0 else { continue }
            let text = String(decoding: target.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            if text.hasPrefix("/memfd:baton") || text.hasPrefix("socket:") { count += 1 }
        }
        return count
    }

    static func isRunning(_ process: Int32) -> Bool { kill(process, 0) == 0 }
}
