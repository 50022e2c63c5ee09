import CDriver
import Glibc
import Logging

/// A driver that has been loaded and has agreed on a version of the contract. It stays loaded until the process ends.
///
/// The host keeps its own copy of the driver's tables, as long as both sides know; a slot the driver lacks is `UNIMPLEMENTED`
/// when called. Any thread may use a library.
public final class DriverLibrary: @unchecked Sendable {
    public let path: String
    public let name: String
    public let version: String
    public let vendor: String
    /// The range the driver states, and the version it chose.
    public let abiRange: ABIRange
    public let abi: ABIVersion
    public let options: [DriverOptionInfo]
    /// The layers around it, outermost first; empty for the driver as it is.
    public let layers: [LayerName]

    /// Where the layers are, if there are any.
    let layered: LayeredDriver?
    let device: baton_device_table
    let buffer: baton_buffer_table
    let program: baton_program_table
    let timeline: baton_timeline_table
    let kv: baton_kv_table?
    let cost: baton_cost_table?
    private let driver: baton_driver
    /// For other drivers that open this one's devices; never freed.
    let rawDriver: UnsafeMutablePointer<baton_driver>
    private let resident: Resident
    /// The child it runs in; nil when it runs in this process.
    let isolated: IsolatedDriver?

    /// Every pointer that other drivers may hold.
    private struct Resident {
        var device: UnsafeMutablePointer<baton_device_table>
        var buffer: UnsafeMutablePointer<baton_buffer_table>
        var program: UnsafeMutablePointer<baton_program_table>
        var timeline: UnsafeMutablePointer<baton_timeline_table>
    }

    /// Whether the driver offers the interfaces.
    public var hasKV: Bool { kv != nil }
    public var hasCost: Bool { cost != nil }
    /// Whether it runs in a process of its own.
    public var isIsolated: Bool { isolated != nil }
    /// That process; nil while there is none.
    public var process: Int32? { isolated?.process }

    /// Loads the examined file at `path` (absolute) and negotiates. Runs the driver's code.
    /// - Parameters:
    ///   - stated: becomes the range the driver states, also when the driver is refused after that.
    ///   - mayNeedFilesBeside: whether libraries beside this one, which no hash covers, may be loaded with it.
    /// - Throws: what failed, with dlerror's own words, or both ABI ranges when they do not meet.
    /// - Parameter isolated: the child to run it in; nil to run it in this process.
    init(
        loading path: String, examined: Examination, host: HostServices, isolated: IsolatedDriver? = nil, stated: inout ABIRange?, mayNeedFilesBeside: Bool
    ) throws(DriverError) {
        let entry: baton_driver_entry_function
        if let isolated { entry = isolated.entry } else {
            entry = try Self.symbol(path, try examined.file.pathForLoading(), mayNeedFilesBeside && examined.manifest?.sha256 == nil)
        }
        let raw = try Self.negotiate(path, entry, examined, host, &stated)
        driver = raw
        self.isolated = isolated
        self.path = path
        name = String(raw.name)
        version = String(raw.version)
        vendor = String(raw.vendor)
        abiRange = ABIRange(ABIVersion(raw.abi_min), ABIVersion(raw.abi_max))
        abi = ABIVersion(raw.abi)
        options = Self.options(of: raw)
        layers = []
        layered = nil
        device = baton_device_table.copied(from: raw.device) ?? .init()
        buffer = baton_buffer_table.copied(from: raw.buffer) ?? .init()
        program = baton_program_table.copied(from: raw.program) ?? .init()
        timeline = baton_timeline_table.copied(from: raw.timeline) ?? .init()
        let allowed = examined.manifest?.capabilities
        for id in allowed ?? [] where !Self.offers(raw, id) {
            throw DriverError(
                .failedPrecondition, driver: path, call: "load", detail: "its manifest lists the capability '\(id)', which the driver does not offer; make them agree")
        }
        kv = allowed?.contains(BATON_KV_INTERFACE) ?? true ? Self.interface(raw, BATON_KV_INTERFACE, BATON_KV_VERSION) : nil
        cost = allowed?.contains(BATON_COST_INTERFACE) ?? true ? Self.interface(raw, BATON_COST_INTERFACE, BATON_COST_VERSION) : nil
        resident = Resident(device: kept(device), buffer: kept(buffer), program: kept(program), timeline: kept(timeline))
        rawDriver = kept(raw)
        rawDriver.pointee.device = UnsafePointer(resident.device)
        rawDriver.pointee.buffer = UnsafePointer(resident.buffer)
        rawDriver.pointee.program = UnsafePointer(resident.program)
        rawDriver.pointee.timeline = UnsafePointer(resident.timeline)
    }

    /// `inner` with layers around it, as the device `label` sees it. Other drivers that open its devices go without the layers.
    init(layering inner: DriverLibrary, label: String, layers: [LayerName], logger: Logger) throws(DriverError) {
        // Layers stay for ever; the child goes with its library.
        let signal = inner.isolated.map { child in { @Sendable [weak child] (signal: Int32, waits: Bool) -> Void in child?.send(signal, waits: waits) } }
        let layered = try LayeredDriver(
            DriverTables(
                describe: inner.driver.describe, device: inner.device, buffer: inner.buffer, program: inner.program, timeline: inner.timeline,
                kv: inner.kv, cost: inner.cost),
            name: inner.name, label: label, layers: layers, logger: logger, signal: signal)
        path = inner.path
        name = inner.name
        version = inner.version
        vendor = inner.vendor
        abiRange = inner.abiRange
        abi = inner.abi
        options = inner.options
        self.layers = layers
        self.layered = layered
        isolated = inner.isolated
        device = layered.device
        buffer = layered.buffer
        program = layered.program
        timeline = layered.timeline
        kv = layered.kv
        cost = layered.cost
        var described = inner.driver
        described.describe = layered.describe
        driver = described
        rawDriver = inner.rawDriver
        resident = inner.resident
    }

    private static func negotiate(
        _ path: String, _ entry: baton_driver_entry_function, _ examined: Examination, _ host: HostServices, _ stated: inout ABIRange?
    ) throws(DriverError) -> baton_driver {
        var given = baton_driver.sized()
        let (code, words) = host.capturing { entry(host.contract, &given) }
        // Nothing past the driver's own size is its word, and no size past ours is believed.
        let driver = baton_driver.copied(from: &given) ?? .sized()
        let theirs = ABIRange(ABIVersion(driver.abi_min), ABIVersion(driver.abi_max))
        stated = theirs
        let ranges = driver.abi_max.major > 0
            ? "the driver speaks ABI \(theirs), this host \(host.abi)" : "the driver states no ABI range, this host speaks \(host.abi)"
        guard driver.abi_max.major > 0 || code != 0 else {
            throw DriverError(
                .failedPrecondition, driver: path, call: "entry",
                detail: "the driver's entry said OK and filled in no ABI range, so nothing is known of it; it must fill in *out as driver.h says")
        }
        if driver.abi_max.major > 0 { try compare(examined, theirs, nil, path) }
        guard theirs.meets(host.abi) || driver.abi_max.major == 0 else {
            throw DriverError(
                .failedPrecondition, driver: path, call: "entry", detail: "\(ranges); rebuild the driver against this host's include/")
        }
        guard code == 0 else {
            let name = DriverError.Code(rawValue: code)
            throw DriverError(name, driver: path, call: "entry", detail: "the driver refused to start (\(name)): \(words.isEmpty ? "it gave no reason" : words.joined(separator: " ")); \(ranges)")
        }
        host.replay(words)
        let chosen = ABIVersion(driver.abi)
        guard theirs.contains(chosen), host.abi.contains(chosen) else {
            throw DriverError(
                .failedPrecondition, driver: path, call: "entry", detail: "the driver chose ABI \(chosen), outside a range: \(ranges)")
        }
        guard !String(driver.name).isEmpty else {
            throw DriverError(.failedPrecondition, driver: path, call: "entry", detail: "the driver gives no name; \(ranges)")
        }
        try compare(examined, theirs, driver, path)
        return driver
    }

    /// What was promised before the driver's code ran is what its entry says, or the driver is refused.
    private static func compare(_ examined: Examination, _ range: ABIRange, _ driver: baton_driver?, _ path: String) throws(DriverError) {
        var words: String?
        if let note = examined.file.note {
            words = note.contradiction(range: range, name: driver.map { String($0.name) } ?? note.name, version: driver.map { String($0.version) } ?? note.version)
        } else if examined.promised != range {
            words = "its manifest says ABI \(examined.promised) and its entry ABI \(range)"
        } else if let driver, let manifest = examined.manifest, manifest.name != String(driver.name) {
            words = "its manifest calls it '\(manifest.name)' and the library calls itself '\(String(driver.name))'"
        }
        guard let words else { return }
        throw DriverError(.failedPrecondition, driver: path, call: "entry", detail: "\(words); make them agree and build it again")
    }

    static func symbol(_ path: String, _ loadPath: String, _ mayNeedFilesBeside: Bool) throws(DriverError) -> baton_driver_entry_function {
        _ = dlerror()
        var handle = dlopen(loadPath, RTLD_NOW | RTLD_LOCAL)
        let words = handle == nil ? Self.linkerWords.replacing(loadPath, with: path) : ""
        // A library that finds others beside it ($ORIGIN) is found by its own path alone.
        if handle == nil, mayNeedFilesBeside { handle = dlopen(path, RTLD_NOW | RTLD_LOCAL) }
        guard let handle else {
            throw DriverError(.unavailable, driver: path, call: "dlopen", detail: words)
        }
        guard let symbol = dlsym(handle, BATON_DRIVER_ENTRY) else {
            let words = Self.linkerWords.replacing(loadPath, with: path)
            dlclose(handle)
            throw DriverError(
                .notFound, driver: path, call: "dlsym", detail: "no symbol \(BATON_DRIVER_ENTRY), so this is not a Baton driver: \(words)")
        }
        return unsafeBitCast(symbol, to: baton_driver_entry_function.self)
    }

    private static var linkerWords: String { dlerror().map { String(cString: $0) } ?? "the dynamic linker gave no reason" }

    private static func options(of driver: baton_driver) -> [DriverOptionInfo] {
        guard let first = driver.options, driver.option_count > 0 else { return [] }
        let stride = Int(first.pointee.size)
        guard stride >= MemoryLayout<baton_option_info>.size else { return [] }
        return (0..<min(Int(driver.option_count), 256)).map { index in
            DriverOptionInfo((UnsafeRawPointer(first) + index * stride).loadUnaligned(as: baton_option_info.self))
        }
    }

    private static func offers(_ driver: baton_driver, _ id: String) -> Bool {
        let versions = [BATON_KV_INTERFACE: BATON_KV_VERSION, BATON_COST_INTERFACE: BATON_COST_VERSION]
        guard let get = driver.get_interface else { return false }
        return id.withContractString { get($0, versions[id] ?? 1) } != nil
    }

    static func interface<T: ContractStruct>(_ driver: baton_driver, _ id: String, _ version: UInt32) -> T? {
        guard let get = driver.get_interface else { return nil }
        return id.withContractString { T.copied(from: get($0, version)?.assumingMemoryBound(to: T.self)) }
    }

    /// What the device these options describe would be. Opens nothing.
    public func describe(_ options: DriverOptions) throws(DriverError) -> DeviceInfo {
        let describe = try slot(driver.describe, name, "describe")
        var info = baton_device_info.sized()
        try contractCall(name, "describe") { status in options.withContract { describe($0, &info, status) } }
        return DeviceInfo(info)
    }

    func openRaw(_ options: DriverOptions) throws(DriverError) -> OpaquePointer {
        let open = try slot(device.open, name, "open")
        var handle: OpaquePointer?
        try contractCall(name, "open") { status in options.withContract { open($0, &handle, status) } }
        guard let handle else { throw DriverError(.internal, driver: name, call: "open", detail: "the driver said OK and gave no device") }
        return handle
    }
}

/// Memory that lives as long as the process, as drivers may hold pointers to it.
private func kept<T>(_ value: T) -> UnsafeMutablePointer<T> {
    let pointer = UnsafeMutablePointer<T>.allocate(capacity: 1)
    pointer.initialize(to: value)
    return pointer
}
