import CDriver
import CIsolation
import FoundationEssentials
import CHost
import Glibc
import Logging
import Synchronization

/// A driver whose code runs in a child process alone. It has the entry point of a driver; everything that the entry gives leads to the child.
///
/// The child is started when it is first needed, and again, as `RestartPolicy` allows, when it is next needed after it ended: handles of the child that
/// ended stay UNAVAILABLE, a device opened anew works. Any thread.
final class IsolatedDriver: @unchecked Sendable {
    var path: String { setup.path }
    /// What the child is called in words.
    let title: String
    let isolation: Isolation
    private let setup: ChildSetup
    /// What was examined and is loaded; nil: what is at the path.
    private let file: LibraryFile?
    private let logger: Logger
    private let slot: UInt32
    let tables = IsolatedTables()
    private let state: Mutex<State>

    private struct State {
        var connection: ChildConnection?
        var restarts: RestartMachine
        /// What the first entry was asked, for children after the first.
        var greeting: [UInt8]?
        var starts = 0
    }

    /// - Parameters:
    ///   - setup: what the child is told; its bounds are taken from `isolation`.
    ///   - file: the library as it was examined, which the child loads; nil: what is at the path.
    ///   - label: the device it is for, as its user calls it; empty where there is none.
    /// - Throws: RESOURCE_EXHAUSTED when too many drivers are isolated already.
    init(_ setup: ChildSetup, file: LibraryFile?, label: String, isolation: Isolation, logger: Logger) throws(DriverError) {
        let path = setup.path
        self.setup = setup
        self.file = file
        title = (label.isEmpty ? "" : "device \(label): ") + (path.split(separator: "/").last.map(String.init) ?? path)
        self.isolation = isolation
        self.logger = logger
        state = Mutex(State(restarts: RestartMachine(isolation.restart)))
        guard let slot = IsolatedSlots.take() else {
            throw DriverError(.resourceExhausted, driver: path, call: "isolate", detail: "\(CISOLATION_SLOTS) drivers are isolated already; close some")
        }
        self.slot = slot
        IsolatedSlots.set(slot, self)
    }

    /// The driver's entry, as a host calls it.
    var entry: baton_driver_entry_function { cisolation_slot_at(slot).entry }
    var functions: cisolation_slot { cisolation_slot_at(slot) }

    /// The child's process; nil while none runs.
    var process: Int32? { state.withLock { $0.connection?.isGone == false ? $0.connection?.process : nil } }
    /// Sends the child that runs a signal and may wait until it has ended; nothing while none runs.
    func send(_ signal: Int32, waits: Bool) { state.withLock { $0.connection }?.send(signal, waits: waits) }
    /// How the child ended; nil while it runs, and before it was started.
    var failure: String? { state.withLock { $0.connection?.failure } }
    /// Of the child; for tests.
    var descriptors: [Int32] { state.withLock { $0.connection?.descriptors ?? [] } }
    /// Children started so far.
    var starts: Int { state.withLock { $0.starts } }

    /// The child, started if there is none.
    func connection() throws(DriverError) -> ChildConnection {
        let result: Result<ChildConnection, DriverError> = state.withLock { state in
            if let connection = state.connection, !connection.isGone { return .success(connection) }
            do throws(DriverError) {
                let connection = try start(&state)
                state.connection = connection
                return .success(connection)
            } catch { return .failure(error) }
        }
        return try result.get()
    }

    private func start(_ state: inout State) throws(DriverError) -> ChildConnection {
        if let old = state.connection {
            state.connection = nil
            try pause(state.restarts.ended(now: Self.now), old.failure ?? "it ended")
        } else { try pause(state.restarts.decision, "it ended") }
        state.starts += 1
        let logger = logger
        let connection = try ChildConnection(isolation, title: title, program: try program()) { level, line in
            let levels: [Int32: Logger.Level] = [1: .debug, 2: .info, 3: .warning, 4: .error]
            logger.log(level: levels[level] ?? .info, "\(line)")
        }
        do throws(DriverError) {
            try load(connection)
            if let greeting = state.greeting { try connection.call(.entry, greeting, seconds: isolation.entryDeadline) { _ throws(WireError) in } }
        } catch {
            _ = state.restarts.ended(now: Self.now)
            connection.shutDown()
            throw error
        }
        return connection
    }

    private func pause(_ decision: RestartMachine.Decision, _ reason: String) throws(DriverError) {
        switch decision {
        case .start(let at):
            let now = Self.now
            if at > now { usleep(UInt32(clamping: (at - now) / 1_000)) }
        case .stayDown(let ends):
            throw DriverError(
                .unavailable, driver: title, call: "start",
                detail: "\(reason); it has ended \(ends) times in \(isolation.restart.window / 1_000_000_000) s, which is more than its crash budget of \(isolation.restart.budget), and is not started again")
        }
    }

    /// Tells the child what it is to be, and fences it in. No code of the driver has run before this.
    private func load(_ connection: ChildConnection) throws(DriverError) {
        var setup = setup
        setup.isFenced = isolation.isFenced
        setup.memoryBytes = isolation.memoryBytes ?? UInt64(sysconf(Int32(_SC_PHYS_PAGES))) * UInt64(sysconf(Int32(_SC_PAGESIZE)))
        setup.processors = UInt32(clamping: isolation.processors ?? 0)
        setup.processorSeconds = UInt64(clamping: isolation.processorSeconds ?? 0)
        var body = WireWriter()
        setup.put(to: &body)
        let done: Int32 = try connection.call(.load, body.bytes, descriptors: file.map { [$0.number] } ?? []) { reply throws(WireError) in try reply.reader.take() }
        let lacking = [(CISOLATION_LANDLOCK, "Landlock (files)"), (CISOLATION_SECCOMP, "seccomp (network, programs)"), (CISOLATION_LIMITS, "limits")]
            .filter { done & Int32($0.0) == 0 }.map(\.1)
        if isolation.isFenced, !lacking.isEmpty { logger.warning("\(title): this kernel does not fence it in by \(lacking.joined(separator: ", "))") }
    }

    private func program() throws(DriverError) -> String {
        if let program = isolation.program { return program }
        if chost_is_elevated() == 0, let named = getenv("BATON_DRIVER_HOST").map({ String(cString: $0) }), !named.isEmpty { return named }
        let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        let folder = own.lastIndex(of: "/").map { String(own[..<$0]) } ?? ""
        let places = [folder + "/baton-driver-host", folder + "/../libexec/baton/baton-driver-host"]
        guard let found = places.first(where: { access($0, X_OK) == 0 }) else {
            throw DriverError(
                .notFound, driver: title, call: "start", detail: "no program baton-driver-host beside \(own); build it, or name it in BATON_DRIVER_HOST")
        }
        return found
    }

    /// What the first entry asked is asked of every later child.
    func greet(with body: [UInt8]) { state.withLock { if $0.greeting == nil { $0.greeting = body } } }

    static var now: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// Ends the child and waits until it has ended.
    deinit {
        IsolatedSlots.give(slot)
        state.withLock { $0.connection }?.shutDown()
    }
}

/// Which isolated driver each slot's functions belong to.
enum IsolatedSlots {
    private struct Entry { weak var driver: IsolatedDriver? }
    private struct State {
        var entries = [Entry?](repeating: nil, count: Int(CISOLATION_SLOTS))
        var next = 0
    }
    private static let state = Mutex(State())

    /// A free slot, the one that has been free the longest.
    static func take() -> UInt32? {
        IsolatedCalls.install()
        return state.withLock { state in
            let count = state.entries.count
            guard let found = (0..<count).map({ (state.next + $0) % count }).first(where: { state.entries[$0] == nil }) else { return nil }
            state.next = found + 1
            state.entries[found] = Entry()
            return UInt32(found)
        }
    }

    static func set(_ slot: UInt32, _ driver: IsolatedDriver) { state.withLock { $0.entries[Int(slot)] = Entry(driver: driver) } }
    static func give(_ slot: UInt32) { state.withLock { $0.entries[Int(slot)] = nil } }
    static func driver(_ slot: UInt32) -> IsolatedDriver? { state.withLock { $0.entries[Int(slot)]?.driver } }
}
