import CDriver
import CIsolation
@testable import Driver
import Glibc
import TestKit
import Testing

/// Buffers whose memory a child lends to its host. Nothing that the child can do to it afterwards may hurt the host.
struct LentMemoryTests {
    @Test("memory is mapped only where it cannot become shorter and the whole buffer is there")
    func mapsWhatStays() throws {
        let sealed = cisolation_memory("test", 10_000)
        try #require(sealed >= 0)
        defer { close(sealed) }
        var byte: UInt8 = 7
        #expect(pwrite(sealed, &byte, 1, 9_999) == 1)
        let lent = try #require(LentMemory(sealed, offset: 6_000, length: 4_000))
        #expect((lent.base + 3_999).load(as: UInt8.self) == 7)
        #expect(LentMemory(sealed, offset: 6_001, length: 4_000) == nil)
        #expect(LentMemory(sealed, offset: .max, length: 2) == nil)
        #expect(LentMemory(sealed, offset: 0, length: 0) == nil)
        #expect(LentMemory(-1, offset: 0, length: 1) == nil)
    }

    @Test("a file that may be cut is not mapped")
    func refusesFiles() throws {
        let file = try #require(tmpfile())
        defer { fclose(file) }
        #expect(ftruncate(fileno(file), 10_000) == 0)
        #expect(LentMemory(fileno(file), offset: 0, length: 10_000) == nil)
    }

    @Test(
        "a buffer of an isolated driver gives back what was written at any offset, refuses what passes its end, and is UNAVAILABLE once the child has ended",
        .enabled(if: TestDrivers.has("cpu")), arguments: [1_000, 65_536, 200_000, 17 << 20])
    func reads(count: Int) throws {
        let library = try TestDrivers.catalog().load("cpu", isolation: TestDrivers.isolation(), label: "a")
        let device = try Device(opening: library, label: "a", options: [:])
        let buffer = try Buffer(allocating: count, on: device)
        func read(_ length: Int, at offset: Int) throws -> [UInt8] {
            var bytes = [UInt8](repeating: 0xFF, count: length)
            try bytes.withUnsafeMutableBytes { try buffer.read(into: $0, at: offset) }
            return bytes
        }
        func write(_ bytes: [UInt8], at offset: Int) throws {
            try bytes.withUnsafeBytes { try buffer.write($0, at: offset) }
        }
        #expect(try read(3, at: count - 3) == [0, 0, 0])
        try write([1, 2, 3], at: count - 3)
        #expect(try read(5, at: count - 5) == [0, 0, 1, 2, 3])
        var place: UnsafeMutableRawPointer?
        #expect(library.buffer.map?(device.handle, buffer.handle, UInt32(BATON_ACCESS_READ), &place, nil) == 0)
        #expect(UnsafeRawBufferPointer(start: place, count: count).suffix(3) == [1, 2, 3])
        library.buffer.unmap?(device.handle, buffer.handle)
        #expect(throws: DriverError.self) { try write([1, 2], at: count - 1) }
        #expect(throws: DriverError.self) { _ = try read(2, at: count - 1) }
        let process = try #require(library.process)
        kill(process, SIGKILL)
        while library.process != nil { usleep(1_000) }
        do {
            _ = try read(1, at: 0)
            Issue.record("a buffer of a child that has ended is read")
        } catch let error as DriverError { #expect(error.code == .unavailable, "\(error)") }
    }
}
