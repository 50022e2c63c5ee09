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
    /// Whether drivers that are not known run in a child before they run here.
    private let probes: Bool
    private let state: Mutex<State>
    /// The thread that runs a driver's entry just now, or 0: a call from there must not wait for itself.
    private let entering = Atomic<UInt>(0)

    private struct State: Sendable {
        var report: LoadReport
        var loaded: [Int: DriverLibrary] = [:]
        /// By device, for those with layers.
        var layered: [Layered: DriverLibrary] = [:]
        /// By candidate and label, as long as somebody uses them: a child goes with its last device.
        var isolated: [String: Isolated] = [:]
        /// The same of isolated ones with layers.
        var layeredIsolated: [Layered: Isolated] = [:]
    }

    private struct Isolated: Sendable { weak var library: DriverLibrary? }

    private struct Layered: Hashable {
        var path: String
        var device: String
        var layers: [LayerName]
        var isIsolated: Bool
    }
    /// As BATON_LAYERS writes them.
    private let everywhere: String?
    /// The same as the load report shows them.
    private let shownLayers: [String]?

    /// - Parameter trust: what drivers must show before they are loaded.
    public convenience init(host: HostServices = HostServices(), search: DriverSearch = .standard(), trust: TrustPolicy = TrustPolicy()) {
        self.init(host: host, search: search, trust: trust, probes: true)
    }

    init(host: HostServices, search: DriverSearch, trust: TrustPolicy, probes: Bool) {
        self.probes = probes
        self.host = host
        self.search = search
        var report = search.report(hostABI: host.abi)
        report.trust = trust
        everywhere = search.layers
        var shown: [String]?
        do throws(DriverError) { shown = try search.layers.map { text throws(DriverError) in try LayerName.list(text).map(\.description) } } catch {
            report.notes.append("\(error)")
        }
        shownLayers = shown
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
                let library = try load(index, in: &state.report)
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
        let setup = ChildSetup(path: path, search: search, trust: report.trust, workers: host.workers.count, givesWay: host.workers.givesWay, mayNeedFilesBeside: mayNeedFilesBeside)
        let child = try IsolatedDriver(setup, file: examination.file, label: label, isolation: isolation, logger: host.logger)
        var stated: ABIRange?
        let library = try DriverLibrary(
            loading: path, examined: examination, host: host, isolated: child, stated: &stated, mayNeedFilesBeside: mayNeedFilesBeside)
        report.candidates[index].record(library, layers: shownLayers)
        return library
    }

    /// The entry of the driver at `path`, in a child that lives as long as what is given with it.
    package func isolatedEntry(_ path: String, _ isolation: Isolation) throws(DriverError) -> (entry: baton_driver_entry_function, child: any AnyObject & Sendable) {
        let setup = ChildSetup(path: path, search: search, trust: report.trust, workers: host.workers.count, givesWay: host.workers.givesWay, mayNeedFilesBeside: true)
        let driver = try IsolatedDriver(setup, file: nil, label: "", isolation: isolation, logger: host.logger)
        return (driver.entry, driver)
    }

    /// The driver called `name`, in a process of its own where `isolation` says so, with `layers` around it and inside them those of BATON_LAYERS, for
    /// the device called `label`. Without any of them it is the driver as it is.
    public func load(_ name: String, isolation: Isolation? = nil, layers: [LayerName], label: String) throws(DriverError) -> DriverLibrary {
        let library = try load(name, isolation: isolation, label: label)
        let all = layers + (try everywhere.map { text throws(DriverError) in try LayerName.list(text) } ?? [])
        guard !all.isEmpty else { return library }
        let key = Layered(path: library.path, device: label, layers: all, isIsolated: isolation != nil)
        let result: Result<DriverLibrary, DriverError> = state.withLock { state in
            if let there = state.layered[key] ?? state.layeredIsolated[key]?.library { return .success(there) }
            do throws(DriverError) {
                let made = try DriverLibrary(layering: library, label: label, layers: all, logger: host.logger)
                // A catalog lives as long as the drivers of this process; a child goes with the last that uses it.
                if isolation == nil { state.layered[key] = made } else { state.layeredIsolated[key] = Isolated(library: made) }
                return .success(made)
            } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// The layers of BATON_LAYERS around a driver that was entered by other means; nil when there are none.
    package func layers(around raw: baton_driver, device: String) throws(DriverError) -> LayeredDriver? {
        let names = try everywhere.map { text throws(DriverError) in try LayerName.list(text) } ?? []
        guard !names.isEmpty else { return nil }
        return try LayeredDriver(DriverTables(raw), name: String(raw.name), label: device, layers: names, logger: host.logger)
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

    private func load(_ index: Int, in report: inout LoadReport) throws(DriverError) -> DriverLibrary {
        if report.candidates[index].decision == .refused, let words = report.candidates[index].error {
            throw DriverError(.failedPrecondition, driver: report.candidates[index].name, call: "load", detail: "refused before: \(words)")
        }
        do throws(DriverError) {
            let examination = try Examination(of: &report.candidates[index], policy: report.trust)
            try probe(report.candidates[index], examination, report.trust)
            var stated: ABIRange?
            defer { if let stated { report.candidates[index].driverABI = stated.description } }
            let library = try DriverLibrary(
                loading: report.candidates[index].path, examined: examination, host: host, stated: &stated, mayNeedFilesBeside: report.trust.require == .none)
            report.candidates[index].record(library, layers: shownLayers)
            return library
        } catch {
            report.candidates[index].decision = .refused
            report.candidates[index].error = error.description
            throw error
        }
    }
}

extension DriverCatalog {
    /// A driver that is not known runs in a child first.
    private func probe(_ candidate: LoadReport.Candidate, _ examination: Examination, _ trust: TrustPolicy) throws(DriverError) {
        let folder = candidate.path.lastIndex(of: "/").map { String(candidate.path[..<$0]) } ?? ""
        guard probes, !Probe.isOwn(folder) else { return }
        let mayNeedFilesBeside = trust.require == .none && examination.manifest?.sha256 == nil
        let setup = ChildSetup(path: candidate.path, search: search, trust: trust, workers: 1, mayNeedFilesBeside: mayNeedFilesBeside)
        try Probe(setup: setup, file: examination.file, host: host).run()
    }
}

extension LoadReport.Candidate {
    var hostRange: ABIRange? {
        let ends = hostABI.split(separator: ".", omittingEmptySubsequences: true).compactMap { UInt32($0) }
        return ends.count == 4 ? ABIRange(ABIVersion(ends[0], ends[1]), ABIVersion(ends[2], ends[3])) : nil
    }

    mutating func record(_ library: DriverLibrary, layers: [String]?) {
        self.layers = layers
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
