import BuildKit
import Testing

@testable import Driver

/// What this host makes of real libraries that are older, newer, shorter, longer or more wrong than it is.
@Suite("Version skew", .needsCompiler)
struct VersionSkewTests {
    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    private func load(_ name: String, offering abi: ABIRange = .host) throws -> DriverLibrary {
        let path = try SharedLibrary.driver(name, in: folder)
        return try Catalogs.make(offering: abi).load(path)
    }

    private func refusal(_ name: String, offering abi: ABIRange = .host) throws -> DriverError {
        try #require(throws: DriverError.self) { try load(name, offering: abi) }
    }

    /// Whether the size a struct has after loading is one the host has room for.
    private func believed<T: ContractStruct>(_ value: T) -> Bool { Int(value.size) <= MemoryLayout<T>.size }

    @Test("a new host of 1.0 to 1.3 and an old driver of 1.0 agree on 1.0")
    func newHostOldDriver() throws {
        let library = try load("old", offering: .of(1, 0...3))
        #expect(library.abi == ABIVersion(1, 0))
        #expect(library.abiRange == .of(1, 0...0))
        #expect(library.name == "old" && library.vendor == "Baton tests")
        #expect(try library.describe([:]).name == "Skew")
        #expect(throws: Never.self) { try Device(opening: library, label: "d", options: [:]).checkHealth() }
    }

    @Test("a host that needs 1.2 refuses a driver of 1.0 and prints both ranges")
    func driverTooOld() throws {
        let error = try refusal("old", offering: .of(1, 2...3))
        #expect(error.code == .failedPrecondition)
        #expect(error.description.contains("1.0..1.0") && error.description.contains("1.2..1.3"))
    }

    @Test("an old host of 1.0 and a driver of 1.0 to 1.9 agree on 1.0, and the driver's longer tables are cut")
    func oldHostNewDriver() throws {
        let library = try load("future_minor", offering: .of(1, 0...0))
        #expect(library.abi == ABIVersion(1, 0) && library.abiRange == .of(1, 0...9))
        #expect(believed(library.rawDriver.pointee))
        #expect(believed(library.device))
        let device = try Device(opening: library, label: "d", options: [:])
        #expect(device.info.memoryBytes == 1 << 20)
        try device.quiesce(nanoseconds: 0)
    }

    @Test("a host of 1.0 to 1.4 and a driver of 1.0 to 1.9 agree on 1.4")
    func newestCommonMinor() throws {
        #expect(try load("future_minor", offering: .of(1, 0...4)).abi == ABIVersion(1, 4))
    }

    @Test("a driver of another major is refused with both ranges")
    func futureMajor() throws {
        let error = try refusal("future_major")
        #expect(error.code == .failedPrecondition && error.call == "load" && error.detail.contains("nothing was loaded"))
        #expect(error.description.contains("2.0..2.3") && error.description.contains("\(ABIRange.host)"))
        #expect(!error.description.contains("\n"))
    }

    @Test("a host of 2.x refuses every driver of 1.x with both ranges", arguments: ["old", "future_minor", "null_slots", "lying_size"])
    func newMajorHost(name: String) throws {
        let error = try refusal(name, offering: .of(2, 0...1))
        #expect(error.code == .failedPrecondition)
        #expect(error.description.contains("ABI 1.0..1.") && error.description.contains("2.0..2.1"))
    }

    @Test("nothing past a driver's own size is used: its table ends early and the rest is rubbish")
    func shortTable() throws {
        let library = try load("short_table")
        #expect(!library.hasKV && !library.hasCost && library.options.isEmpty)
        #expect(#expect(throws: DriverError.self) { try library.describe([:]) }?.code == .unimplemented)
        let device = try Device(opening: library, label: "d", options: [:])
        try device.checkHealth()
        #expect(#expect(throws: DriverError.self) { try device.quiesce(nanoseconds: 0) }?.code == .unimplemented)
        #expect(#expect(throws: DriverError.self) { _ = try Timeline(on: device) }?.code == .unimplemented)
    }

    @Test("a null slot is UNIMPLEMENTED by name, and the device still opens and closes")
    func nullSlots() throws {
        let library = try load("null_slots")
        #expect(!library.hasKV && !library.hasCost)
        let device = try Device(opening: library, label: "d", options: [:])
        let errors = [
            #expect(throws: DriverError.self) { try device.checkHealth() },
            #expect(throws: DriverError.self) { try device.quiesce(nanoseconds: 0) },
            #expect(throws: DriverError.self) { _ = try Buffer(allocating: 16, on: device) },
            #expect(throws: DriverError.self) { _ = try Timeline(on: device, value: 3) },
        ]
        #expect(errors.map { $0?.code } == Array(repeating: .unimplemented, count: 4))
        #expect(errors.map { $0?.call } == ["health", "quiesce", "allocate", "timeline create"])
        #expect(errors.allSatisfy { $0?.driver == "null_slots" })
    }

    @Test("a library without the entry is refused by the symbol's name, in the linker's words")
    func noEntry() throws {
        let error = try refusal("no_entry")
        #expect(error.code == .notFound && error.call == "dlsym")
        #expect(error.description.contains("baton_driver_entry") && error.description.contains("undefined symbol"))
    }

    @Test("a driver that chose a version outside its range is refused with both ranges")
    func wrongChoice() throws {
        let error = try refusal("wrong_struct", offering: .of(1, 0...3))
        #expect(error.code == .failedPrecondition)
        #expect(error.description.contains("chose ABI 1.0") && error.description.contains("1.2..1.4") && error.description.contains("1.0..1.3"))
    }

    @Test("a driver whose entry fails is refused with its code, its own words and both ranges")
    func entryFails() throws {
        let error = try refusal("throws_in_entry")
        #expect(error.code == .internal && error.call == "entry")
        #expect(error.detail.contains("its firmware table is damaged; reinstall the driver"))
        #expect(error.description.contains("INTERNAL") && error.description.contains("1.0..1.0") && error.description.contains("\(ABIRange.host)"))
    }

    @Test("an entry that opens a device is refused at once, and told where devices are opened")
    func opensInEntry() throws {
        let error = try refusal("opens_in_entry")
        #expect(error.call == "entry" && error.detail.contains("FAILED_PRECONDITION"))
        #expect(error.detail.contains("entry opens nothing"))
    }

    @Test("an entry that says OK and fills in nothing is refused in those words")
    func saysNothing() throws {
        let error = try refusal("says_nothing")
        #expect(error.code == .failedPrecondition && error.detail.contains("filled in no ABI range"))
        #expect(!error.description.contains("0.0"))
    }

    @Test("sizes of four million bytes are not believed")
    func lyingSize() throws {
        let library = try load("lying_size")
        #expect(believed(library.rawDriver.pointee))
        let device = try Device(opening: library, label: "d", options: [:])
        try device.checkHealth()
        #expect(device.info.name == "Skew")
    }

    @Test("the null driver built by plain cc outside the package loads and describes itself", .enabled(if: SharedLibrary.hasNullDriver, "Plugins/null is not there"))
    func plainC() throws {
        let path = try SharedLibrary.build("Plugins/null/driver.c", name: "baton-null", in: folder)
        let library = try Catalogs.make(folders: [folder.path]).load("null")
        #expect(library.path == path && library.name == "null")
        #expect(library.abi == ABIRange.host.maximum)
        let info = try library.describe([:])
        #expect(info.name == "Null" && info.vendor == "Baton" && info.memoryBytes == 0)
        let refusal = #expect(throws: DriverError.self) { try library.describe(["speed": "9"]) }
        #expect(refusal?.code == .invalidArgument)
    }
}
