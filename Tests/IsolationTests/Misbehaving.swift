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

    init(layers: [LayerName] = [], _ change: (inout Isolation) -> Void = { _ in }) throws {
        let log = log
        let host = HostServices(workers: WorkerPool(threads: 1), logger: Logger(label: "test") { _ in Handler(lines: log) })
        catalog = DriverCatalog(host: host, search: DriverSearch(folders: []))
        var isolation = TestDrivers.isolation()
        isolation.restart.firstPause = 1_000_000
        change(&isolation)
        library = try catalog.load(Self.library.get(), isolation: isolation, layers: layers, label: "a")
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

/// What this process holds open. Other suites open descriptors meanwhile, so that what a number leads to counts, not the number.
enum Held {
    /// What a descriptor leads to, such as `socket:[4711]`.
    static func target(_ descriptor: Int32) -> String? {
        var target = [CChar](repeating: 0, count: 256)
        guard readlink("/proc/self/fd/\(descriptor)", &target, 255) > 0 else { return nil }
        return String(decoding: target.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// What every descriptor leads to.
    static var targets: Set<String> { Set((0..<Int32(4_096)).compactMap(target)) }

    static func isRunning(_ process: Int32) -> Bool { kill(process, 0) == 0 }
}
