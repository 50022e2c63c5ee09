import CDriver
import DriverKit
import Testing

@Suite("Entering a driver")
struct EntryTests {
    @Test("a host of the same version gets the whole table")
    func same() {
        let (code, driver) = enterToy(one, baton_version(major: 1, minor: 9))
        #expect(code == 0)
        #expect(driver.abi.major == BATON_ABI_MAJOR && driver.abi.minor == BATON_ABI_MINOR)
        #expect(driver.option_count == 4)
        #expect(driver.size == UInt32(MemoryLayout<baton_driver>.size))
        #expect(driver.device.pointee.open != nil && driver.describe != nil)
    }

    @Test("a host of another major is refused and sees the driver's range and name")
    func otherMajor() {
        let two = baton_version(major: 2, minor: 0)
        let (code, driver) = enterToy(two, two)
        #expect(code == BATON_FAILED_PRECONDITION)
        #expect(driver.abi_min.major == 1 && driver.abi_max.major == 1)
        #expect(driver.name.length == 3)
        #expect(driver.device == nil)
    }

    @Test("a shorter struct of the host gets whole fields and nothing past its end", arguments: [4, 8, 30, 32, 33, 100, 119])
    func shorter(room: Int) {
        var host = hostTable(one, one)
        var bytes = [UInt8](repeating: 0xAB, count: 512)
        bytes.withUnsafeMutableBytes { raw in
            raw.storeBytes(of: UInt32(room), as: UInt32.self)
            let out = raw.baseAddress!.assumingMemoryBound(to: baton_driver.self)
            #expect(DriverKit.enter(ToyDriver.self, &host, out) == 0)
            let written = Int(raw.load(as: UInt32.self))
            #expect(written <= room)
            #expect(raw[written...].allSatisfy { $0 == 0xAB })
        }
    }

    @Test("nulls and a host too short for its version are refused")
    func nulls() {
        var host = hostTable(one, one)
        #expect(DriverKit.enter(ToyDriver.self, nil, nil) == BATON_INVALID_ARGUMENT)
        host.size = 8
        var driver = baton_driver()
        driver.size = UInt32(MemoryLayout<baton_driver>.size)
        #expect(DriverKit.enter(ToyDriver.self, &host, &driver) == BATON_INVALID_ARGUMENT)
    }

    @Test("describe fills a shorter struct up to its size")
    func describe() {
        let toy = Toy()
        var info = baton_device_info()
        info.size = 48
        #expect(Answer { toy.driver.describe(nil, &info, $0) }.code == 0)
        #expect(info.size == 48 && info.memory_bytes == 1_048_576 && info.buckets == nil)
        info.size = UInt32(MemoryLayout<baton_device_info>.size)
        #expect(Answer { toy.driver.describe(nil, &info, $0) }.code == 0)
        #expect(info.bucket_count == 2 && info.buckets[1] == 16)
    }

    @Test("a failure's words are cut at a character boundary and made one line")
    func words() {
        var status = emptyStatus()
        DriverFailure(.internal, "x" + String(repeating: "é", count: 400)).write(to: &status)
        #expect(status.message_length == 491)
        DriverFailure(.internal, "a\nb", vendorCode: -7).write(to: &status)
        #expect(DriverFailure(status.code, &status) == DriverFailure(.internal, "a b", vendorCode: -7))
    }

    @Test(
        "a bad option is refused in one clear line",
        arguments: [
            ("memry", "5", "did you mean 'memory'?"), ("memory", "0", "from 1 to 1000000000 bytes"), ("memory", "2.5", "a whole number"),
            ("mode", "slow", "one of fast, exact"), ("factor", "nan", "a number"), ("checks", "maybe", "true or false"), ("zzzzzz", "", "it takes memory"),
        ])
    func options(key: String, value: String, words: String) {
        let failure = #expect(throws: DriverFailure.self) { try Options([(key, value)], ToyDriver.options) }
        #expect(failure?.code == .invalidArgument)
        #expect(failure.map { $0.message.contains(words) && $0.message.contains(key) } == true, "\(failure?.message ?? "")")
    }

    @Test("options have their defaults and their given values")
    func values() throws {
        let options = try Options([("memory", "64"), ("mode", "exact")], ToyDriver.options)
        #expect(options.integer("memory") == 64 && options.text("mode") == "exact")
        #expect(options.number("factor") == 0.5 && options.boolean("checks"))
        #expect(throws: DriverFailure.self) { try Options([("memory", "1"), ("memory", "2")], ToyDriver.options) }
    }
}
