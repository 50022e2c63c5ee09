package import CDriver
import Glibc
import Synchronization

/// Finds drivers, loads them once, and keeps the load report.
///
/// A driver is named by path, or by a name looked up among the candidates: `libbaton-<name>.so` and `<name>.driver.json` in the search
/// path, as BATON_DRIVER_FILES, BATON_ADD_DRIVER_FILES, BATON_DRIVERS_SELECT and BATON_DRIVERS_DISABLE change it. The environment is
/// ignored when the process runs with elevated privilege. The current directory is never searched. Any thread may use a catalog.
public final class DriverCatalog: Sendable {
    public let host: HostServices
    private let search: DriverSearch
    private let state: Mutex<State>
    /// The thread that runs a driver's entry just now, or 0: a call from there must not wait for itself.
    private let entering = Atomic<UInt>(0)

    private struct State: Sendable {
        var report: LoadReport
        var loaded: [Int: DriverLibrary] = [:]
        /// By candidate and label, as long as somebody uses them: a child goes with its last device.
        var isolated: [String: Isolated] = [:]
    }

    private struct Isolated: Sendable { weak var library: DriverLibrary? }

    /// - Parameter trust: what drivers must show before they are loaded.
    public init(host: HostServices = HostServices(), search: DriverSearch = .standard(), trust: TrustPolicy = TrustPolicy()) {
        self.host = host
        self.search = search
        var report = search.report(hostABI: host.abi)
        report.trust = trust
        state = Mutex(State(report: report))
        host.catalog = self
    }

    /// What was found and decided so far.
    public var report: LoadReport { state.withLock { $0.report } }

    /// The driver called `name`, or at the path `name` when it has a slash (absolute paths only). Loads it on first use.
    public func load(_ name: String) throws(DriverError) -> DriverLibrary {
        guard entering.load(ordering: .relaxed) != pthread_self() else {
            throw DriverError(
                .failedPrecondition, driver: name, call: "open_device",
                detail: "a driver's entry asked for this device; entry opens nothing: open it when the driver's own device opens")
        }
        let result: Result<DriverLibrary, DriverError> = state.withLock { state in
            entering.store(pthread_self(), ordering: .relaxed)
            defer { entering.store(0, ordering: .relaxed) }
            do throws(DriverError) {
                let index = try Self.candidate(name, in: &state.report, hostABI: host.abi)
                if let library = state.loaded[index] { return .success(library) }
                let library = try Self.load(index, in: &state.report, host: host)
                state.loaded[index] = library
                return .success(library)
            } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// The same driver in a process of its own, one for each label; nil for `isolation`: in this process.
    /// - Parameter label: the device it is for, as its user calls it.
    public func load(_ name: String, isolation: Isolation?, label: String) throws(DriverError) -> DriverLibrary {
        guard let isolation else { return try load(name) }
        let result: Result<DriverLibrary, DriverError> = state.withLock { state in
            do throws(DriverError) {
                let index = try Self.candidate(name, in: &state.report, hostABI: host.abi)
                if let library = state.isolated["\(index) \(label)"]?.library { return .success(library) }
                let library = try isolated(index, isolation, label, in: &state.report)
                state.isolated["\(index) \(label)"] = Isolated(library: library)
                return .success(library)
            } catch { return .failure(error) }
        }
        return try result.get()
    }

    private func isolated(_ index: Int, _ isolation: Isolation, _ label: String, in report: inout LoadReport) throws(DriverError) -> DriverLibrary {
        let examination = try Examination(of: &report.candidates[index], policy: report.trust)
        let path = report.candidates[index].path
        let mayNeedFilesBeside = report.trust.require == .none && examination.manifest?.sha256 == nil
        let setup = ChildSetup(path: path, search: search, trust: report.trust, workers: host.workers.count, mayNeedFilesBeside: mayNeedFilesBeside)
        let child = try IsolatedDriver(setup, file: examination.file, label: label, isolation: isolation, logger: host.logger)
        var stated: ABIRange?
        let library = try DriverLibrary(
            loading: path, examined: examination, host: host, isolated: child, stated: &stated, mayNeedFilesBeside: mayNeedFilesBeside)
        report.candidates[index].record(library)
        return library
    }

    /// The entry of the driver at `path`, in a child that lives as long as what is given with it.
    package func isolatedEntry(_ path: String, _ isolation: Isolation) throws(DriverError) -> (entry: baton_driver_entry_function, child: any AnyObject & Sendable) {
        let setup = ChildSetup(path: path, search: search, trust: report.trust, workers: host.workers.count, mayNeedFilesBeside: true)
        let driver = try IsolatedDriver(setup, file: nil, label: "", isolation: isolation, logger: host.logger)
        return (driver.entry, driver)
    }

    /// Loads every candidate that is not shadowed or disabled, for `baton drivers`. Failures stay in the report.
    public func loadAll() -> [DriverLibrary] {
        let names = report.candidates.filter { $0.decision == .listed }.map(\.path)
        for path in names { _ = try? load(path) }
        return state.withLock { state in state.loaded.keys.sorted().compactMap { state.loaded[$0] } }
    }

    private static func candidate(_ name: String, in report: inout LoadReport, hostABI: ABIRange) throws(DriverError) -> Int {
        let byPath = name.contains("/")
        func first(_ fits: (LoadReport.Candidate) -> Bool) -> Int? {
            report.candidates.firstIndex { fits($0) && (byPath || $0.decision != .shadowed) && $0.decision != .disabled }
        }
        if let found = first({ byPath ? $0.path == name || $0.manifest == name : $0.name == name }) { return found }
        if !byPath, let found = first({ $0.ownName == name }) { return found }
        guard byPath else { throw notFound(name, report) }
        guard name.hasPrefix("/") else {
            throw DriverError(.invalidArgument, driver: name, call: "find", detail: "the path is not absolute; the current directory is never searched")
        }
        report.candidates.append(DriverSearch.candidate(file: name, source: "explicit", hostABI: hostABI))
        return report.candidates.count - 1
    }

    private static func notFound(_ name: String, _ report: LoadReport) -> DriverError {
        let disabled = report.candidates.contains { $0.name == name && $0.decision == .disabled }
        let known = Set(report.candidates.filter { $0.decision != .disabled && $0.decision != .shadowed }.map(\.name)).sorted()
        let detail = disabled
            ? "it is there but BATON_DRIVERS_SELECT or BATON_DRIVERS_DISABLE leaves it out"
            : "no such driver; found: \(known.isEmpty ? "none" : known.joined(separator: ", ")); `baton drivers` shows where it was looked for"
        return DriverError(.notFound, driver: name, call: "find", detail: detail)
    }

    private static func load(_ index: Int, in report: inout LoadReport, host: HostServices) throws(DriverError) -> DriverLibrary {
        if report.candidates[index].decision == .refused, let words = report.candidates[index].error {
            throw DriverError(.failedPrecondition, driver: report.candidates[index].name, call: "load", detail: "refused before: \(words)")
        }
        do throws(DriverError) {
            let examination = try Examination(of: &report.candidates[index], policy: report.trust)
            var stated: ABIRange?
            defer { if let stated { report.candidates[index].driverABI = stated.description } }
            let library = try DriverLibrary(
                loading: report.candidates[index].path, examined: examination, host: host, stated: &stated, mayNeedFilesBeside: report.trust.require == .none)
            report.candidates[index].record(library)
            return library
        } catch {
            report.candidates[index].decision = .refused
            report.candidates[index].error = error.description
            throw error
        }
    }
}

extension LoadReport.Candidate {
    var hostRange: ABIRange? {
        let ends = hostABI.split(separator: ".", omittingEmptySubsequences: true).compactMap { UInt32($0) }
        return ends.count == 4 ? ABIRange(ABIVersion(ends[0], ends[1]), ABIVersion(ends[2], ends[3])) : nil
    }

    mutating func record(_ library: DriverLibrary) {
        decision = .loaded
        error = nil
        ownName = library.name
        driverABI = library.abiRange.description
        abi = library.abi.description
        version = library.version
        vendor = library.vendor
    }
}

extension Sequence<UInt8> {
    /// Lower-case hexadecimal digits.
    var hex: String {
        let digits = Array("0123456789abcdef".unicodeScalars)
        return reduce(into: "") { text, byte in
            text.unicodeScalars.append(digits[Int(byte >> 4)])
            text.unicodeScalars.append(digits[Int(byte & 15)])
        }
    }
}
