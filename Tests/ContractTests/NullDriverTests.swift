import BuildKit
import CDriver
import Glibc
import Testing

/// The null driver, built the way its manual says: plain cc, the headers, nothing of the package.
@Suite("Null driver", .enabled(if: Tool.cc != nil && Tool.nm != nil && SharedLibrary.hasNullDriver, "no cc, no nm or no Plugins/null: the null driver cannot be built outside the package"))
struct NullDriverTests {
    let folder: TemporaryFolder
    let library: String
    let entry: baton_driver_entry_function

    init() throws {
        folder = try TemporaryFolder()
        library = try SharedLibrary.build("Plugins/null/driver.c", name: "baton-null", in: folder, flags: ["-pedantic"])
        entry = try EntryPoint.find(in: library)
    }

    @Test("it exports its entry and nothing else")
    func oneSymbol() throws {
        #expect(try SharedLibrary.exports(of: library) == [BATON_DRIVER_ENTRY])
    }

    @Test("it agrees with a host of its own version, of newer minors, and of a range that spans majors", arguments: [
        (1, 0, 1, 0), (1, 0, 1, 9), (0, 5, 2, 3), (1, 0, 2, 0),
    ] as [(UInt32, UInt32, UInt32, UInt32)])
    func agrees(_ minMajor: UInt32, _ minMinor: UInt32, _ maxMajor: UInt32, _ maxMinor: UInt32) {
        let (code, driver) = EntryPoint.call(entry, from: (minMajor, minMinor), to: (maxMajor, maxMinor))
        #expect(code == BATON_OK)
        #expect(driver.abi.major == BATON_ABI_MAJOR)
        #expect(driver.abi.minor <= BATON_ABI_MINOR)
        #expect(driver.size == UInt32(MemoryLayout<baton_driver>.size))
        #expect(EntryPoint.text(driver.name) == "null")
    }

    @Test("a host of another major is refused, with the driver's range filled", arguments: [
        (2, 0, 2, 3), (0, 1, 0, 9), (1, 5, 1, 9),
    ] as [(UInt32, UInt32, UInt32, UInt32)])
    func refuses(_ minMajor: UInt32, _ minMinor: UInt32, _ maxMajor: UInt32, _ maxMinor: UInt32) {
        // The last case is a host too new for minor 0; it holds while the headers are older than 1.5.
        let (code, driver) = EntryPoint.call(entry, from: (minMajor, minMinor), to: (maxMajor, maxMinor))
        #expect(code == BATON_FAILED_PRECONDITION)
        #expect(driver.abi_min.major == 1 && driver.abi_min.minor == 0)
        #expect(driver.abi_max.major == BATON_ABI_MAJOR && driver.abi_max.minor == BATON_ABI_MINOR)
        #expect(driver.device == nil)
    }

    @Test("a host with less room gets no byte past it", arguments: [40, 88, 104, 120, 136] as [UInt32])
    func shortRoom(room: UInt32) {
        var bytes = [UInt8](repeating: 0xA5, count: 256)
        let code = bytes.withUnsafeMutableBytes { bytes in
            EntryPoint.call(entry, into: bytes.baseAddress!, room: room)
        }
        #expect(code == BATON_OK)
        #expect(bytes[Int(room)...].allSatisfy { $0 == 0xA5 })
        #expect(bytes.withUnsafeBytes { $0.load(as: UInt32.self) } == room)
    }

    @Test("a host with more room than the driver knows gets the driver's own size")
    func longRoom() {
        var bytes = [UInt8](repeating: 0, count: 256)
        let code = bytes.withUnsafeMutableBytes { EntryPoint.call(entry, into: $0.baseAddress!, room: 256) }
        #expect(code == BATON_OK)
        #expect(bytes.withUnsafeBytes { $0.load(as: UInt32.self) } == UInt32(MemoryLayout<baton_driver>.size))
    }

    @Test("a host without room for a version, or no host at all, is an argument that is wrong")
    func noRoom() {
        var bytes = [UInt8](repeating: 0xA5, count: 64)
        let code = bytes.withUnsafeMutableBytes { EntryPoint.call(entry, into: $0.baseAddress!, room: 8) }
        #expect(code == BATON_INVALID_ARGUMENT)
        #expect(bytes[4...].allSatisfy { $0 == 0xA5 })
        var driver = baton_driver()
        driver.size = UInt32(MemoryLayout<baton_driver>.size)
        #expect(entry(nil, &driver) == BATON_INVALID_ARGUMENT)
    }

    @Test("no slot of any table is null")
    func slots() throws {
        let driver = EntryPoint.call(entry, from: (1, 0), to: (1, 0)).driver
        #expect(driver.get_interface != nil && driver.describe != nil)
        try expectFull(driver.device, "device")
        try expectFull(driver.buffer, "buffer")
        try expectFull(driver.program, "program")
        try expectFull(driver.timeline, "timeline")
        try expectFull(interface(BATON_KV_INTERFACE, 1, of: driver)?.assumingMemoryBound(to: baton_kv_table.self), "kv")
        try expectFull(interface(BATON_COST_INTERFACE, 1, of: driver)?.assumingMemoryBound(to: baton_cost_table.self), "cost")
        #expect(interface(BATON_KV_INTERFACE, 2, of: driver) == nil)
        #expect(interface("vendor.x.y", 1, of: driver) == nil)
    }

    private func expectFull<T>(_ table: UnsafePointer<T>?, _ name: String) throws {
        let bytes = UnsafeRawBufferPointer(start: try #require(table, "no \(name) table"), count: MemoryLayout<T>.size)
        #expect(bytes.load(as: UInt32.self) == UInt32(MemoryLayout<T>.size), "\(name)")
        for slot in stride(from: 8, to: bytes.count, by: 8) { #expect(bytes.load(fromByteOffset: slot, as: UInt.self) != 0, "\(name) slot at \(slot)") }
    }

    private func interface(_ id: String, _ version: UInt32, of driver: baton_driver) -> UnsafeRawPointer? {
        var id = id
        return id.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) { driver.get_interface(baton_string(data: $0.baseAddress, length: UInt64($0.count)), version) }
        }
    }

    @Test("it describes, opens, reports health, quiesces and closes a device, and computes nothing, in words")
    func life() throws {
        let driver = EntryPoint.call(entry, from: (1, 0), to: (1, 0)).driver
        var info = baton_device_info()
        info.size = UInt32(MemoryLayout<baton_device_info>.size)
        #expect(driver.describe(nil, &info, nil) == BATON_OK)
        #expect(EntryPoint.text(info.name) == "Null")
        #expect(info.memory_bytes == 0 && info.weight_dtypes == 0)

        let table = try #require(driver.device).pointee
        var device: OpaquePointer?
        #expect(table.open(nil, &device, nil) == BATON_OK)
        let opened = try #require(device)
        #expect(table.health(opened, nil) == BATON_OK)
        var status = baton_status()
        status.size = UInt32(MemoryLayout<baton_status>.size)
        var buffer: OpaquePointer?
        #expect(try #require(driver.buffer).pointee.allocate(opened, 64, &buffer, &status) == BATON_UNIMPLEMENTED)
        #expect(status.code == BATON_UNIMPLEMENTED)
        #expect(EntryPoint.message(status).contains("buffer.allocate"))
        #expect(table.quiesce(opened, 0, nil) == BATON_OK)
        table.close(opened)
        table.close(nil)
    }

    @Test("a shorter status keeps the bytes past its size")
    func shortStatus() throws {
        let driver = EntryPoint.call(entry, from: (1, 0), to: (1, 0)).driver
        var status = baton_status()
        status.size = 16
        var work = baton_cost()
        let table = try #require(interface(BATON_COST_INTERFACE, 1, of: driver)?.load(as: baton_cost_table.self))
        var program = baton_program_desc()
        var shape = baton_work()
        #expect(table.estimate(nil, &program, &shape, &work, &status) == BATON_UNIMPLEMENTED)
        #expect(status.message_length == 0)
    }
}
