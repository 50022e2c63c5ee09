import CDriver
public import Driver
import Glibc

/// The driver under test: its library, loaded in this process, and what it said at its entry.
public final class Subject: @unchecked Sendable {
    let path: String
    let pairs: [(String, String)]
    let services: HostServices
    let catalog: DriverCatalog
    /// Where drawn shapes and values come from.
    let seed: UInt64
    let entry: baton_driver_entry_function
    let driver: baton_driver
    let device: baton_device_table
    let buffer: baton_buffer_table
    let program: baton_program_table
    let timeline: baton_timeline_table
    let kv: baton_kv_table?
    let cost: baton_cost_table?
    /// The host's table as the driver was given it; kept for ever.
    let host: UnsafeMutablePointer<baton_host>
    /// The process it runs in; nil for this one.
    private let child: (any AnyObject & Sendable)?

    /// Loads the library at `path` and calls its entry. Words of the driver's log go to `services`.
    /// - Parameter isolation: runs it in a process of its own; nil for this one.
    public init(path: String, options: [(String, String)], catalog: DriverCatalog, isolation: Isolation? = nil, seed: UInt64 = Suite.standardSeed) throws {
        self.path = path
        self.seed = seed
        self.catalog = catalog
        pairs = options
        services = catalog.host
        host = .allocate(capacity: 1)
        host.initialize(to: services.contract.pointee)
        let isolated = try isolation.map { try catalog.isolatedEntry(path, $0) }
        child = isolated?.child
        entry = try isolated?.entry ?? Self.symbol(path)
        var given = baton_driver.sized()
        let code = entry(host, &given)
        guard code == 0 else { throw Broken("the entry gave \(Code.name(code)) to a host of this version") }
        if let layered = try catalog.layers(around: given, device: "test") {
            given.describe = layered.describe
            driver = given
            device = layered.device
            buffer = layered.buffer
            program = layered.program
            timeline = layered.timeline
            kv = layered.kv
            cost = layered.cost
            return
        }
        driver = given
        device = baton_device_table.copied(given.device) ?? .init()
        buffer = baton_buffer_table.copied(given.buffer) ?? .init()
        program = baton_program_table.copied(given.program) ?? .init()
        timeline = baton_timeline_table.copied(given.timeline) ?? .init()
        kv = Self.interface(given, BATON_KV_INTERFACE, BATON_KV_VERSION).flatMap { .copied($0.assumingMemoryBound(to: baton_kv_table.self)) }
        cost = Self.interface(given, BATON_COST_INTERFACE, BATON_COST_VERSION).flatMap { .copied($0.assumingMemoryBound(to: baton_cost_table.self)) }
    }

    /// The entry again, as a host that loads the driver once more finds it.
    func loadedAgain() throws -> baton_driver_entry_function { child == nil ? try Self.symbol(path) : entry }

    static func symbol(_ path: String) throws -> baton_driver_entry_function {
        guard let handle = dlopen(path, RTLD_NOW | RTLD_LOCAL) else {
            throw Broken("the library cannot be loaded: \(dlerror().map { String(cString: $0) } ?? "no reason given")")
        }
        guard let symbol = dlsym(handle, BATON_DRIVER_ENTRY) else { throw Broken("the library has no symbol \(BATON_DRIVER_ENTRY)") }
        return unsafeBitCast(symbol, to: baton_driver_entry_function.self)
    }

    static func interface(_ driver: baton_driver, _ id: String, _ version: UInt32) -> UnsafeRawPointer? {
        guard let get = driver.get_interface else { return nil }
        return id.lend { get($0, version) }
    }

    /// The options the command was given, with `more`, lent in the contract's form.
    func withOptions<R>(_ more: [(String, String)] = [], _ body: (UnsafePointer<baton_options>) throws -> R) rethrows -> R {
        let all = pairs.filter { pair in !more.contains { $0.0 == pair.0 } } + more
        let copies = all.map { (strdup($0.0), strdup($0.1)) }
        defer { for copy in copies { free(copy.0); free(copy.1) } }
        let items = copies.map { baton_option(key: Self.text($0.0), value: Self.text($0.1)) }
        return try items.withUnsafeBufferPointer { items in
            var options = baton_options.sized()
            options.count = UInt32(items.count)
            options.items = items.baseAddress
            return try body(&options)
        }
    }

    private static func text(_ chars: UnsafeMutablePointer<CChar>?) -> baton_string {
        baton_string(data: UnsafePointer(chars), length: UInt64(chars.map { strlen($0) } ?? 0))
    }

    /// What the device these options describe would be.
    func describe(_ more: [(String, String)] = []) throws -> baton_device_info {
        let describe = try slot(driver.describe, "describe")
        var info = baton_device_info.sized()
        try call("describe") { status in withOptions(more) { describe($0, &info, status) } }
        return info
    }

    /// The KV interface; a driver without it offers no KV.
    func kvTable() throws -> baton_kv_table {
        guard let kv else { throw Broken("the driver has no interface \(BATON_KV_INTERFACE)") }
        return kv
    }
}
