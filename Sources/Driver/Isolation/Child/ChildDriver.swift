import CDriver
import Glibc
import Logging
import Synchronization

/// The driver in its child: its entry and tables, and the calls made on them. Any thread.
final class ChildDriver: @unchecked Sendable {
    let server: ChildServer
    let setup: ChildSetup
    /// The library's file, open as long as the process.
    private let library: Int32?
    let host: HostServices
    private let catalog: DriverCatalog
    private let entered = Mutex(Entered())
    var objects: ChildObjects { server.objects }

    struct Tables: @unchecked Sendable {
        var driver = baton_driver()
        var device = baton_device_table()
        var buffer = baton_buffer_table()
        var program = baton_program_table()
        var timeline = baton_timeline_table()
        var kv: baton_kv_table?
        var cost: baton_cost_table?
    }
    private struct Entered: @unchecked Sendable {
        var entry: baton_driver_entry_function?
        var tables: Tables?
    }

    init(_ setup: ChildSetup, _ library: Int32?, _ server: ChildServer) {
        self.library = library
        self.server = server
        self.setup = setup
        let logger = Logger(label: "baton.driver") { _ in NoticeLog(server: server) }
        host = HostServices(workers: WorkerPool(threads: setup.workers, givesWay: setup.givesWay), logger: logger)
        catalog = DriverCatalog(host: host, search: setup.search, trust: setup.trust, probes: false)
    }

    /// The tables of the last entry that succeeded.
    func tables() throws(WireError) -> Tables {
        guard let tables = entered.withLock({ $0.tables }) else { throw WireError("the driver's entry has not succeeded") }
        return tables
    }

    func answer(_ call: ChildCall, _ reader: inout WireReader, _ descriptors: [Int32], _ channel: Channel) throws(WireError) -> ChildAnswer {
        let work = ChildWork(driver: self, call: call, descriptors: descriptors, channel: channel, reader: reader, tables: call == .entry ? Tables() : try tables())
        switch call {
        case .load: throw WireError("it is set up already")
        case .entry: return try enter(work)
        case .interface: return try interface(work)
        case .describe, .open, .info, .health, .quiesce, .close: return try work.device()
        case .allocate, .importMemory, .exportMemory, .releaseBuffer, .write, .read, .copy: return try work.buffer()
        case .compile, .programInfo, .releaseProgram, .submit: return try work.program()
        case .createTimeline, .releaseTimeline, .query, .wait, .signal, .fail, .notify: return try work.timeline()
        case .layouts, .createPool, .releasePool, .share, .adopt, .export, .import, .copyBlocks: return try work.pool()
        case .estimate, .memory: return try work.cost()
        case .addSegment, .dropSegment: return try work.segment()
        }
    }

    // MARK: entry

    /// Loads the library the first time, and calls its entry as the host was called.
    private func enter(_ work: ChildWork) throws(WireError) -> ChildAnswer {
        let entry: baton_driver_entry_function
        do throws(DriverError) { entry = try symbol() } catch { return ChildAnswer(refusing: error.code.rawValue, error.detail) }
        let contract = UnsafeMutablePointer<baton_host>.allocate(capacity: 2)
        contract.initialize(repeating: host.contract.pointee, count: 2)
        contract.pointee.size = try work.reader.take()
        contract.pointee.abi_min = baton_version(major: try work.reader.take(), minor: try work.reader.take())
        contract.pointee.abi_max = baton_version(major: try work.reader.take(), minor: try work.reader.take())
        let size: UInt32 = try work.reader.take()
        guard contract.pointee.size <= 2 * UInt32(MemoryLayout<baton_host>.size), (4...Wire.structLimit).contains(size) else {
            throw WireError("a host of \(contract.pointee.size) bytes and a driver of \(size)")
        }
        let given = try work.arena.room(max(Int(size), MemoryLayout<baton_driver>.size)).assumingMemoryBound(to: baton_driver.self)
        given.pointee.size = size
        let (code, words) = host.capturing { entry(contract, given) }
        // Nothing past the driver's own size is its word.
        let driver = baton_driver.copied(from: given) ?? .sized()
        if code == 0 { keep(driver) }
        return Self.answer(code, words, driver)
    }

    private func symbol() throws(DriverError) -> baton_driver_entry_function {
        if let entry = entered.withLock({ $0.entry }) { return entry }
        let entry = try DriverLibrary.symbol(setup.path, library.map { "/proc/self/fd/\($0)" } ?? setup.path, setup.mayNeedFilesBeside)
        entered.withLock { $0.entry = entry }
        return entry
    }

    private func keep(_ driver: baton_driver) {
        var tables = Tables()
        tables.driver = driver
        tables.device = baton_device_table.copied(from: driver.device) ?? .init()
        tables.buffer = baton_buffer_table.copied(from: driver.buffer) ?? .init()
        tables.program = baton_program_table.copied(from: driver.program) ?? .init()
        tables.timeline = baton_timeline_table.copied(from: driver.timeline) ?? .init()
        tables.kv = DriverLibrary.interface(driver, BATON_KV_INTERFACE, BATON_KV_VERSION)
        tables.cost = DriverLibrary.interface(driver, BATON_COST_INTERFACE, BATON_COST_VERSION)
        entered.withLock { $0.tables = tables }
    }

    private static func answer(_ code: baton_code, _ words: [String], _ driver: baton_driver) -> ChildAnswer {
        var answer = ChildAnswer()
        answer.payload.put(code)
        answer.payload.put(UInt32(min(words.count, 256)))
        for line in words.prefix(256) { answer.payload.put(String(line.prefix(1_000))) }
        answer.payload.put(driver.size)
        for version in [driver.abi_min, driver.abi_max, driver.abi] {
            answer.payload.put(version.major)
            answer.payload.put(version.minor)
        }
        for text in [driver.name, driver.version, driver.vendor] { answer.payload.put(text) }
        put(options: driver, to: &answer.payload)
        for table in [
            IsolatedTables.said(driver.device), IsolatedTables.said(driver.buffer), IsolatedTables.said(driver.program), IsolatedTables.said(driver.timeline),
        ] {
            answer.payload.put(table != nil)
            guard let table else { continue }
            answer.payload.put(table.size)
            answer.payload.put(table.mask)
        }
        answer.payload.put(driver.get_interface != nil)
        answer.payload.put(driver.describe != nil)
        return answer
    }

    private static func put(options driver: baton_driver, to writer: inout WireWriter) {
        guard let first = driver.options, driver.option_count > 0 else { return writer.put(UInt32(0)) }
        let stride = Int(first.pointee.size)
        let count = stride >= MemoryLayout<baton_option_info>.size ? min(driver.option_count, 256) : 0
        writer.put(count)
        for index in 0..<Int(count) {
            let option = (UnsafeRawPointer(first) + index * stride).loadUnaligned(as: baton_option_info.self)
            writer.put(option.kind)
            for text in [option.name, option.default_value, option.choices, option.unit, option.help] { writer.put(text) }
            writer.put(option.minimum)
            writer.put(option.maximum)
        }
    }

    private func interface(_ work: ChildWork) throws(WireError) -> ChildAnswer {
        let (id, version): (String, UInt32) = (try work.reader.takeText(), try work.reader.take())
        var answer = ChildAnswer()
        let found = id.withContractString { work.tables.driver.get_interface?($0, version) }
        let said: (size: UInt32, mask: UInt64)?
        switch (id, version) {
        case (BATON_KV_INTERFACE, BATON_KV_VERSION): said = IsolatedTables.said(found?.assumingMemoryBound(to: baton_kv_table.self))
        case (BATON_COST_INTERFACE, BATON_COST_VERSION): said = IsolatedTables.said(found?.assumingMemoryBound(to: baton_cost_table.self))
        default: said = found.map { ($0.loadUnaligned(as: UInt32.self), 0) }
        }
        answer.payload.put(said != nil)
        if let said {
            answer.payload.put(said.size)
            answer.payload.put(said.mask)
        }
        return answer
    }
}

/// Lines of the child's log, sent to the host.
private struct NoticeLog: LogHandler {
    let server: ChildServer
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.debug

    init(server: ChildServer) { self.server = server }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let levels: [Logger.Level: Int32] = [.trace: 1, .debug: 1, .info: 2, .notice: 2, .warning: 3]
        server.log(levels[event.level] ?? 4, "\(event.message)")
    }
}
