import CDriver
import Foundation
import TestKit
import Testing

@testable import Driver

/// Layers around this build's cpu driver.
@Suite("Layers around a driver", .enabled(if: TestDrivers.has("cpu"), "the cpu driver is not built"))
struct LayerTests {
    private static func library(_ layers: [LayerName], device: String = "a") throws -> DriverLibrary {
        try TestDrivers.catalog().load("cpu", layers: layers, label: device)
    }

    /// A device and 64 bytes on it, by the tables alone.
    private final class Bench {
        let library: DriverLibrary
        let device: OpaquePointer
        var buffer: OpaquePointer?
        var status = baton_status()

        init(_ layers: [LayerName], device: String = "a") throws {
            library = try LayerTests.library(layers, device: device)
            self.device = try library.openRaw([:])
            status.size = UInt32(MemoryLayout<baton_status>.size)
            _ = library.buffer.allocate?(self.device, 64, &buffer, nil)
        }

        func write(_ bytes: [UInt8]) -> baton_code { library.buffer.write?(device, buffer, 0, bytes, UInt64(bytes.count), &status) ?? -1 }

        func read(into bytes: inout [UInt8]) -> baton_code { library.buffer.read?(device, buffer, 0, &bytes, UInt64(bytes.count), &status) ?? -1 }

        var health: baton_code { library.device.health?(device, &status) ?? -1 }

        /// What the last failure said.
        var words: String { DriverError(status.code, &status, driver: "", call: "").detail }

        deinit {
            library.buffer.release?(device, buffer)
            _ = library.device.quiesce?(device, 1_000_000_000, nil)
            library.device.close?(device)
        }
    }

    private static func findings(_ library: DriverLibrary) -> [String] {
        library.layered?.layers.compactMap { $0 as? ValidateLayer }.flatMap(\.findings).map { "\($0.call.rawValue): \($0.rule)" } ?? []
    }

    @Test("without a layer it is the driver's own tables")
    func none() throws {
        let catalog = TestDrivers.catalog()
        #expect(try catalog.load("cpu", layers: [], label: "a") === catalog.load("cpu"))
        #expect(try catalog.load("cpu").layered == nil)
    }

    @Test("a device keeps its layers, and each device has its own")
    func perDevice() throws {
        let catalog = TestDrivers.catalog()
        let first = try catalog.load("cpu", layers: [LayerName(.validate)], label: "a")
        #expect(try catalog.load("cpu", layers: [LayerName(.validate)], label: "a") === first)
        #expect(try catalog.load("cpu", layers: [LayerName(.validate)], label: "b") !== first)
        #expect(first.layers.map(\.description) == ["validate"])
    }

    @Test("validate is silent about what keeps the rules")
    func silent() throws {
        let library = try {
            let bench = try Bench([LayerName(.validate)])
            var bytes = [UInt8](repeating: 7, count: 64)
            #expect(bench.write(bytes) == 0 && bench.read(into: &bytes) == 0)
            return bench.library
        }()
        do {
            let timeline = try Timeline(on: Device(opening: library, label: "a", options: [:]))
            try timeline.signal(1)
            try timeline.wait(1)
        }
        #expect(Self.findings(library).isEmpty)
    }

    @Test("validate names sizes and values outside their range, and the driver's answer stands")
    func parameters() throws {
        let bench = try Bench([LayerName(.validate)])
        #expect(bench.write([UInt8](repeating: 7, count: 65)) == DriverError.Code.outOfRange.rawValue)
        #expect(!bench.words.contains("validate"))
        var timeline: OpaquePointer?
        let table = bench.library.timeline
        _ = table.create?(bench.device, 5, &timeline, nil)
        #expect(table.signal?(bench.device, timeline, 5, nil) == DriverError.Code.invalidArgument.rawValue)
        table.release?(bench.device, timeline)
        #expect(
            Self.findings(bench.library) == [
                "write: offset and length end inside the buffer, which has 64 bytes (buffer.h)",
                "signal: a signal is above what was signalled or queued before, 5 (event.h)",
            ])
    }

    @Test("validate stops a handle that was released, one of another kind, and a device that is closed")
    func lifetimes() throws {
        let library = try Self.library([LayerName(.validate)])
        let device = try library.openRaw([:])
        var buffer: OpaquePointer?
        #expect(library.buffer.allocate?(device, 64, &buffer, nil) == 0)
        var byte: UInt8 = 0
        #expect(library.timeline.signal?(device, buffer, 1, nil) == DriverError.Code.invalidArgument.rawValue)
        library.buffer.release?(device, buffer)
        #expect(library.buffer.read?(device, buffer, 0, &byte, 1, nil) == DriverError.Code.invalidArgument.rawValue)
        library.buffer.release?(device, buffer)
        #expect(Self.findings(library).map { $0.prefix(while: { $0 != ":" }) } == ["signal", "read", "release_buffer"])
        _ = library.device.quiesce?(device, 1_000_000, nil)
        library.device.close?(device)
        var status = baton_status()
        status.size = UInt32(MemoryLayout<baton_status>.size)
        #expect(library.device.health?(device, &status) == DriverError.Code.invalidArgument.rawValue)
        #expect(library.device.health?(nil, &status) == DriverError.Code.invalidArgument.rawValue)
    }

    @Test("validate counts what is left at close, and misses a quiesce")
    func leaks() throws {
        let library = try Self.library([LayerName(.validate)])
        let device = try library.openRaw([:])
        var made: OpaquePointer?
        _ = library.buffer.allocate?(device, 64, &made, nil)
        _ = library.buffer.allocate?(device, 64, &made, nil)
        _ = library.timeline.create?(device, 0, &made, nil)
        library.device.close?(device)
        let found = Self.findings(library)
        #expect(found.count == 2)
        #expect(found.first == "close: a device is quiesced before it is closed (device.h)")
        #expect(found.last?.contains("2 buffers, 1 timeline, such as the one of allocate(64 bytes)") == true)
    }

    @Test("validate says when a callback waits")
    func threads() throws {
        let library = try Self.library([LayerName(.validate)])
        let device = try library.openRaw([:])
        var timeline: OpaquePointer?
        _ = library.timeline.create?(device, 3, &timeline, nil)
        final class Passed {
            let library: DriverLibrary
            let device: OpaquePointer
            let timeline: OpaquePointer?
            init(_ library: DriverLibrary, _ device: OpaquePointer, _ timeline: OpaquePointer?) { (self.library, self.device, self.timeline) = (library, device, timeline) }
        }
        let passed = Passed(library, device, timeline)
        let code = library.timeline.notify?(device, timeline, 3, { user, _ in
            guard let user else { return }
            let passed = Unmanaged<Passed>.fromOpaque(user).takeUnretainedValue()
            _ = passed.library.timeline.wait?(passed.device, passed.timeline, 3, 0, nil, nil)
        }, Unmanaged.passUnretained(passed).toOpaque(), nil)
        #expect(code == 0)
        #expect(Self.findings(library) == ["wait: wait is called on any thread but a callback's (event.h)"])
        library.timeline.release?(device, timeline)
        _ = library.device.quiesce?(device, 1_000_000, nil)
        library.device.close?(device)
    }

    @Test("trace writes every call with its times and result, as JSON lines or Chrome's format")
    func trace() throws {
        for name in ["calls.jsonl", "calls.json"] {
            let path = NSTemporaryDirectory() + "baton-\(UUID().uuidString)-\(name)"
            defer { try? FileManager.default.removeItem(atPath: path) }
            let library = try Self.library([LayerName(.trace, [("file", path)])])
            #expect(!FileManager.default.fileExists(atPath: path))
            do {
                let device = try Device(opening: library, label: "a", options: [:])
                #expect(throws: DriverError.self) { _ = try Buffer(allocating: 0, on: device) }
            }
            let text = try String(contentsOfFile: path, encoding: .utf8)
            let lines = name.hasSuffix("l") ? text.split(separator: "\n").map(String.init) : [text + "]"]
            let objects = try lines.map { try JSONSerialization.jsonObject(with: Data($0.utf8)) }
            let events = (name.hasSuffix("l") ? objects : objects.first as? [Any] ?? []).compactMap { $0 as? [String: Any] }
            let names = events.compactMap { ($0["call"] ?? $0["name"]) as? String }.filter { $0 != "process_name" }
            #expect(names == ["open", "info", "allocate", "quiesce", "close"])
            #expect(text.contains("INVALID_ARGUMENT"))
        }
    }

    @Test("faults: a call fails with the code asked for, says OK and does nothing, gives damaged bytes, comes twice")
    func faults() throws {
        func bytes(_ fault: (String, String)...) throws -> (code: baton_code, bytes: [UInt8]) {
            let bench = try Bench([LayerName(.fault, fault)], device: "\(fault)")
            _ = bench.write([UInt8](repeating: 7, count: 64))
            var found = [UInt8](repeating: 1, count: 64)
            let code = bench.read(into: &found)
            return (code, found)
        }
        #expect(try bytes(("kind", "fail"), ("call", "read"), ("at", "1"), ("code", "DATA_LOSS")).code == DriverError.Code.dataLoss.rawValue)
        #expect(try bytes(("kind", "drop"), ("call", "write"), ("at", "1")) == (0, [UInt8](repeating: 0, count: 64)))
        #expect(try bytes(("kind", "drop"), ("call", "read"), ("at", "1")) == (0, [UInt8](repeating: 1, count: 64)))
        #expect(try bytes(("kind", "corrupt"), ("call", "read"), ("at", "1")) == (0, [UInt8](repeating: 0xFF, count: 64)))
        #expect(try bytes(("kind", "corrupt"), ("call", "write"), ("at", "1")) == (0, [UInt8](repeating: 0xFF, count: 64)))
        #expect(try bytes(("kind", "duplicate"), ("call", "write"), ("at", "1")) == (0, [UInt8](repeating: 7, count: 64)))
        #expect(try bytes(("kind", "fail"), ("call", "read"), ("at", "2")) == (0, [UInt8](repeating: 7, count: 64)))
    }

    @Test("a delay comes before its call, which is then made")
    func delay() throws {
        let bench = try Bench([LayerName(.fault, [("kind", "delay"), ("call", "write"), ("at", "2"), ("for", "60ms")])], device: "delay")
        var found = [UInt8](repeating: 0, count: 64)
        let began = DriverClock.now
        #expect(bench.write([UInt8](repeating: 5, count: 64)) == 0)
        #expect(bench.write([UInt8](repeating: 6, count: 64)) == 0)
        #expect(DriverClock.now - began >= 60_000_000)
        #expect(bench.read(into: &found) == 0 && found == [UInt8](repeating: 6, count: 64))
    }

    @Test("what is written damaged is damaged on the device alone: the host's own bytes stay")
    func damage() throws {
        let bench = try Bench([LayerName(.fault, [("kind", "corrupt"), ("call", "write"), ("at", "1")])], device: "damage")
        let given = [UInt8](repeating: 7, count: 64)
        var found = given
        #expect(bench.write(given) == 0 && given == [UInt8](repeating: 7, count: 64))
        #expect(bench.read(into: &found) == 0 && found == [UInt8](repeating: 0xFF, count: 64))
    }

    @Test("a call that hangs gives DEADLINE_EXCEEDED in its time; the device is lost from then on and its pieces can go")
    func hangs() throws {
        let bench = try Bench([
            LayerName(.watchdog, [("call", "200ms"), ("grace", "2s")]), LayerName(.fault, [("kind", "hang"), ("call", "read"), ("at", "1")]),
        ])
        var bytes: [UInt8] = [3]
        #expect(bench.read(into: &bytes) == DriverError.Code.deadlineExceeded.rawValue)
        #expect(bench.words.contains("read took more than 200 ms"))
        #expect(bytes == [3])
        #expect(bench.health == DriverError.Code.unavailable.rawValue)
        #expect(bench.words.contains("the device is lost"))
    }

    @Test("a wait for work that never comes ends at the batch's deadline; a caller's shorter timeout stays his")
    func waits() throws {
        let bench = try Bench([LayerName(.watchdog, [("batch", "300ms")])])
        var timeline: OpaquePointer?
        var event = baton_event.sized()
        let table = bench.library.timeline
        #expect(table.create?(bench.device, 0, &timeline, nil) == 0)
        #expect(table.wait?(bench.device, timeline, 1, 1_000_000, &event, &bench.status) == DriverError.Code.deadlineExceeded.rawValue)
        #expect(!bench.words.contains("watchdog"))
        #expect(bench.health == 0)
        #expect(table.wait?(bench.device, timeline, 1, .max, &event, &bench.status) == DriverError.Code.deadlineExceeded.rawValue)
        #expect(bench.words.contains("wait took more than 300 ms"))
        #expect(bench.health == DriverError.Code.unavailable.rawValue)
        table.release?(bench.device, timeline)
    }
}
