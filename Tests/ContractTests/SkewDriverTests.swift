import BuildKit
import CDriver
import Testing

/// The drivers of Tests/Fixtures/drivers are what their comments say; what the host makes of them is for the host's own tests.
@Suite("Skew drivers", .enabled(if: Tool.cc != nil && Tool.nm != nil, "no cc or no nm on PATH: the fixture drivers cannot be built"))
struct SkewDriverTests {
    @Test("each builds with plain cc and exports what it says", arguments: [
        ("old", ["baton_driver_entry"]), ("future_minor", ["baton_driver_entry"]), ("future_major", ["baton_driver_entry"]),
        ("short_table", ["baton_driver_entry"]), ("null_slots", ["baton_driver_entry"]), ("wrong_struct", ["baton_driver_entry"]),
        ("throws_in_entry", ["baton_driver_entry"]), ("lying_size", ["baton_driver_entry"]), ("no_entry", ["baton_driver_start"]),
        ("opens_in_entry", ["baton_driver_entry"]), ("says_nothing", ["baton_driver_entry"]), ("lying_note", ["baton_driver_entry"]),
        ("prints", ["baton_driver_entry"]),
        ("two_symbols", ["baton_driver_entry", "baton_two_symbols_extra"]),
    ])
    func builds(name: String, exports: [String]) throws {
        let folder = try TemporaryFolder()
        #expect(try SharedLibrary.exports(of: try SharedLibrary.driver(name, in: folder)).sorted() == exports)
    }

    @Test("an old driver agrees on 1.0 with a newer host, and a future one on the host's own minor")
    func minors() throws {
        let folder = try TemporaryFolder()
        let old = try EntryPoint.find(in: try SharedLibrary.driver("old", in: folder))
        let newer = EntryPoint.call(old, from: (1, 0), to: (1, 7))
        #expect(newer.code == BATON_OK && newer.driver.abi.major == 1 && newer.driver.abi.minor == 0)
        #expect(EntryPoint.call(old, from: (1, 3), to: (1, 7)).code == BATON_FAILED_PRECONDITION)

        let future = try EntryPoint.find(in: try SharedLibrary.driver("future_minor", in: folder))
        let agreed = EntryPoint.call(future, from: (1, 0), to: (1, 4))
        #expect(agreed.code == BATON_OK && agreed.driver.abi.minor == 4)
        #expect(agreed.driver.size == UInt32(MemoryLayout<baton_driver>.size))
    }

    @Test("a future driver writes no byte past the host's room, and more where there is more room")
    func futureRoom() throws {
        let folder = try TemporaryFolder()
        let future = try EntryPoint.find(in: try SharedLibrary.driver("future_minor", in: folder))
        for (room, written) in [(120, 120), (136, 136), (168, 168), (256, 168)] as [(UInt32, Int)] {
            var bytes = [UInt8](repeating: 0xA5, count: 320)
            let code = bytes.withUnsafeMutableBytes { EntryPoint.call(future, into: $0.baseAddress!, room: room) }
            #expect(code == BATON_OK)
            #expect(bytes.withUnsafeBytes { $0.load(as: UInt32.self) } == UInt32(written))
            #expect(bytes[written...].allSatisfy { $0 == 0xA5 })
        }
    }
}
