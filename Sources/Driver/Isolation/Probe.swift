import CDriver
import CHost
import Glibc
import Logging

/// Runs the entry of a driver that is not known, and asks it to describe its device, in a child first: what it does to a process it does to that one.
///
/// Known are the drivers that lie beside this program, as they were installed with it, and those whose very bytes were probed before.
struct Probe {
    let setup: ChildSetup
    let file: LibraryFile
    let host: HostServices

    /// Whether `folder` belongs to this program.
    static func isOwn(_ folder: String) -> Bool {
        var room = [CChar](repeating: 0, count: 4_096)
        let count = readlink("/proc/self/exe", &room, room.count - 1)
        guard count > 0 else { return false }
        let program = String(decoding: room.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        guard let end = program.lastIndex(of: "/") else { return false }
        let own = String(program[..<end])
        return [own, own + "/../lib/baton"].contains { same($0, folder) }
    }

    private static func same(_ a: String, _ b: String) -> Bool {
        var (first, second) = (stat(), stat())
        return a == b || stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev && first.st_ino == second.st_ino
    }

    /// - Throws: that the driver's process ended or hung, and how. What it refuses in a good way is for the load itself to hear.
    func run() throws(DriverError) {
        guard !ProbeRecord.has(file.sha256) else { return }
        var isolation = Isolation()
        isolation.entryDeadline = 10
        isolation.processorSeconds = 30
        isolation.restart.budget = 0
        let child = try IsolatedDriver(setup, file: file, label: "", isolation: isolation, logger: Logger(label: "baton.probe") { _ in SwiftLogNoOpLogHandler() })
        do throws(DriverError) { _ = try child.connection() } catch {
            guard error.code == .notFound else { throw refusal(error) }
            return host.logger.notice("\(setup.path) is loaded without having been probed in a child: \(error.detail)")
        }
        var given = baton_driver.sized()
        let (code, _) = host.capturing { child.entry(host.contract, &given) }
        if code == 0, let describe = given.describe {
            var info = baton_device_info.sized()
            _ = DriverOptions([]).withContract { describe($0, &info, nil) }
        }
        if let words = child.failure {
            throw DriverError(.unavailable, driver: setup.path, call: "probe", detail: "\(words); it was tried in a child, and nothing was loaded")
        }
        ProbeRecord.add(file.sha256)
    }

    private func refusal(_ error: DriverError) -> DriverError {
        DriverError(error.code, driver: setup.path, call: "probe", detail: "\(error.detail); it was tried in a child, and nothing was loaded")
    }
}

/// Which bytes have been probed: a line of hexadecimal digits each, in the user's cache.
enum ProbeRecord {
    private static let limit = 1 << 20

    private static var path: String? {
        guard chost_is_elevated() == 0 else { return nil }
        func text(_ name: String) -> String? { getenv(name).map { String(cString: $0) }.flatMap { $0.hasPrefix("/") ? $0 : nil } }
        return (text("XDG_CACHE_HOME") ?? text("HOME").map { $0 + "/.cache" }).map { $0 + "/baton/probed" }
    }

    static func has(_ sha256: String) -> Bool {
        guard let path else { return false }
        var bytes: UnsafeMutablePointer<UInt8>?
        let count = chost_read_file(path, limit, &bytes)
        defer { free(bytes) }
        guard count > 0, count <= limit, let bytes else { return false }
        return String(decoding: UnsafeBufferPointer(start: bytes, count: count), as: UTF8.self).split(separator: "\n").contains { $0 == sha256 }
    }

    /// Where it cannot be written, the driver is probed again next time.
    static func add(_ sha256: String) {
        guard let path, let end = path.lastIndex(of: "/") else { return }
        mkdir(String(path[..<end]), 0o700)
        let file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { return }
        let line = sha256 + "\n"
        _ = write(file, line, line.utf8.count)
        close(file)
    }
}
