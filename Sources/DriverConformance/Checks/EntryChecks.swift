import CDriver
import Driver

extension Checks {
    /// D3
    static func oneSymbol(_ subject: Subject) throws -> Note {
        let names = try ExportedSymbols(of: subject.path).names
        let others = names.filter { $0 != BATON_DRIVER_ENTRY }
        try require(names.contains(BATON_DRIVER_ENTRY), "\(BATON_DRIVER_ENTRY) is not among the \(names.count) exported symbols")
        try require(others.isEmpty, "\(others.count) other symbols are exported: \(others.prefix(4).joined(separator: ", "))")
        return ""
    }

    /// A host that speaks `low` to `high`, as a driver sees it.
    private static func host(_ subject: Subject, _ low: (UInt32, UInt32), _ high: (UInt32, UInt32)) -> UnsafeMutablePointer<baton_host> {
        let host = UnsafeMutablePointer<baton_host>.allocate(capacity: 2)
        host.initialize(repeating: subject.services.contract.pointee, count: 2)
        host.pointee.abi_min = baton_version(major: low.0, minor: low.1)
        host.pointee.abi_max = baton_version(major: high.0, minor: high.1)
        host.pointee.log = { _, _, _ in }
        return host
    }

    private static func isNewer(_ a: baton_version, _ b: baton_version) -> Bool { (a.major, a.minor) > (b.major, b.minor) }
    private static func text(_ version: baton_version) -> String { "\(version.major).\(version.minor)" }

    /// D4
    static func entryNegotiates(_ subject: Subject) throws -> Note {
        let driver = subject.driver
        try require(!String(driver.name).isEmpty, "the driver gives no name")
        try require(driver.abi_min.major > 0, "the driver states no abi_min")
        try require(driver.abi_max.major > 0 && !isNewer(driver.abi_min, driver.abi_max), "abi_min \(text(driver.abi_min)) to abi_max \(text(driver.abi_max)) is no range")
        let ours = subject.services.contract.pointee.abi_max
        let newest = isNewer(driver.abi_max, ours) ? ours : driver.abi_max
        try require(driver.abi.major == newest.major && driver.abi.minor == newest.minor, "of \(text(newest)) and older it chose \(text(driver.abi))")
        try require(driver.device != nil && driver.buffer != nil && driver.program != nil && driver.timeline != nil, "one of the four tables is null")
        let wide = host(subject, (driver.abi_min.major, 0), (driver.abi_max.major, driver.abi_max.minor + 7))
        var out = baton_driver.sized()
        try require(subject.entry(wide, &out) == 0, "a host with later minors of the same major is refused")
        try require(!isNewer(out.abi, out.abi_max), "to a later host it chose \(text(out.abi)), which it does not speak")
        return Note("\(String(driver.name)) \(String(driver.version)), ABI \(text(driver.abi_min)) to \(text(driver.abi_max))")
    }

    /// D5
    static func entryRefuses(_ subject: Subject) throws -> Note {
        for (low, high) in [((UInt32(0), UInt32(1)), (UInt32(0), UInt32(9))), ((900, 0), (901, 0))] {
            var out = baton_driver.sized()
            let code = subject.entry(host(subject, low, high), &out)
            let range = "a host of ABI \(low.0).\(low.1) to \(high.0).\(high.1)"
            try require(code == Code.precondition, "the entry gave \(Code.name(code)) to \(range); FAILED_PRECONDITION was due")
            try require(out.abi_max.major > 0, "the entry refused \(range) and did not fill in its own range")
        }
        return ""
    }

    /// D6
    static func entryKeepsToSizes(_ subject: Subject) throws -> Note {
        let whole = MemoryLayout<baton_driver>.size
        let short = whole - 16
        var room = [UInt64](repeating: 0xC3C3_C3C3_C3C3_C3C3, count: whole / 8 + 8)
        let (code, stated) = room.withUnsafeMutableBytes { bytes -> (baton_code, UInt32) in
            for index in 0..<short { bytes[index] = 0 }
            bytes.storeBytes(of: UInt32(short), as: UInt32.self)
            let out = bytes.baseAddress?.assumingMemoryBound(to: baton_driver.self)
            return (subject.entry(host(subject, (1, 0), (1, 0)), out), bytes.load(as: UInt32.self))
        }
        try require(code == 0, "the entry gave \(Code.name(code)) to a host whose baton_driver has \(short) bytes")
        try require(stated <= short, "given room for \(short) bytes, the driver states \(stated)")
        let spoiled = room.withUnsafeBytes { bytes in (short..<bytes.count).first { bytes[$0] != 0xC3 } }
        try require(spoiled == nil, "given room for \(short) bytes, the driver wrote byte \(spoiled ?? 0)")
        let long = host(subject, (1, 0), (1, 0))
        long.pointee.size = UInt32(MemoryLayout<baton_host>.size + 64)
        _ = room.withUnsafeMutableBytes { $0.initializeMemory(as: UInt8.self, repeating: 0) }
        let later = room.withUnsafeMutableBytes { bytes -> baton_code in
            bytes.storeBytes(of: UInt32(whole + 32), as: UInt32.self)
            return subject.entry(long, bytes.baseAddress?.assumingMemoryBound(to: baton_driver.self))
        }
        try require(later == 0, "the entry gave \(Code.name(later)) to a later host, whose structs are longer")
        return ""
    }

    /// D7
    static func interfacesAreKnownByName(_ subject: Subject) throws -> Note {
        for (id, version) in [("baton.nothing", UInt32(1)), ("", 1), ("baton.kv", 999), ("baton.cost", 0), ("baton.kvx", 1)] {
            let found = Subject.interface(subject.driver, id, version)
            try require(found == nil, "get_interface of '\(id)' \(version) gave a table")
        }
        var offered: [String] = []
        for (id, version) in [(BATON_KV_INTERFACE, BATON_KV_VERSION), (BATON_COST_INTERFACE, BATON_COST_VERSION)] {
            guard let table = Subject.interface(subject.driver, id, version) else { continue }
            let size = table.loadUnaligned(as: UInt32.self)
            try require(size >= 16, "the table of \(id) states \(size) bytes")
            try require(Subject.interface(subject.driver, id, version) == table, "two calls of get_interface gave two tables of \(id)")
            offered.append(id)
        }
        return Note(offered.isEmpty ? "no interfaces" : offered.joined(separator: ", "))
    }

    /// D8
    static func describeIsTheDevice(_ subject: Subject) throws -> Note {
        let said = try subject.describe()
        let found = try Bench(subject).info
        func same<T: Equatable>(_ field: String, _ key: (baton_device_info) -> T) throws {
            try require(key(said) == key(found), "\(field) is \(key(said)) by describe and \(key(found)) by the open device")
        }
        try same("engine") { $0.engine }
        try same("name") { String($0.name) }
        try same("memory_bytes") { $0.memory_bytes }
        try same("weight_dtypes") { $0.weight_dtypes }
        try same("kv_dtypes") { $0.kv_dtypes }
        try same("kv_dtype") { $0.kv_dtype }
        try same("max_batch_tokens") { $0.max_batch_tokens }
        try same("max_batch_sequences") { $0.max_batch_sequences }
        try same("kv_block_tokens") { $0.kv_block_tokens }
        try same("queue_count") { $0.queue_count }
        try same("clock") { $0.clock }
        return Note(String(said.name))
    }

    /// D9
    static func optionsAreRefused(_ subject: Subject) throws -> Note {
        let describe = try slot(subject.driver.describe, "describe")
        let open = try slot(subject.device.open, "device.open")
        let key = "no_such_option"
        var info = baton_device_info.sized()
        var device: OpaquePointer?
        let answers = [
            try refused("describe with an unknown option", [Code.invalid]) { status in subject.withOptions([(key, "1")]) { describe($0, &info, status) } },
            try refused("open with an unknown option", [Code.invalid]) { status in subject.withOptions([(key, "1")]) { open($0, &device, status) } },
        ]
        let isNull = subject.driver.option_count == 0
        for answer in answers where !isNull {
            try require(answer.words.contains(key), "an unknown option is refused without its name: \(answer.words)")
        }
        guard let first = subject.driver.options else { return "no options" }
        let stride = Int(first.pointee.size)
        for index in 0..<Int(subject.driver.option_count) {
            let option = (UnsafeRawPointer(first) + index * stride).loadUnaligned(as: baton_option_info.self)
            try require(!String(option.name).isEmpty && !String(option.help).isEmpty, "option \(index) has no name or no help")
            try require((1...5).contains(option.kind), "option \(String(option.name)) has kind \(option.kind)")
        }
        return Note("\(subject.driver.option_count) options")
    }

    /// D68
    static func noteAgrees(_ subject: Subject) throws -> Note {
        let driver = subject.driver
        func version(_ raw: baton_version) -> ABIVersion { ABIVersion(raw.major, raw.minor) }
        let range = ABIRange(version(driver.abi_min), version(driver.abi_max))
        let bytes = try LibraryBytes.read(subject.path)
        do throws(ELFError) {
            guard let note = try DriverNote(ELFFile(bytes)) else {
                guard range.maximum > ABIVersion(1, 0) else { return "of contract 1.0, which has no note" }
                throw ELFError("it has no Baton note and its entry speaks ABI \(range); build it with BATON_DRIVER_NOTE of note.h")
            }
            if let words = note.contradiction(range: range, name: String(driver.name), version: String(driver.version)) { throw ELFError(words) }
            return Note("\(note.name) \(note.version), ABI \(note.abi)\(note.build.isEmpty ? "" : ", build \(note.build)")")
        } catch { throw Broken(error.words) }
    }
}
