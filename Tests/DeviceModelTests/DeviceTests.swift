import Driver
import Glibc
import TestKit
import Testing

/// Open modelled devices over the reference: a model of two layers, computed in a moment.
@Suite("Modelled devices", .enabled(if: TestDrivers.has("trainium3") && TestDrivers.has("cs3") && TestDrivers.has("cpu"), "a driver was not built"))
struct DeviceTests {
    private let catalog = TestDrivers.catalog()

    private func open(_ driver: String, _ options: DriverOptions = [:]) throws -> Device {
        try Device(opening: try catalog.load(driver), label: driver, options: options)
    }

    @Test("a Trainium3 gives bit for bit what the reference gives in bf16, a CS-3 in f16", arguments: [("trainium3", "bf16"), ("cs3", "f16")])
    func sameResults(driver: String, numerics: String) throws {
        let modelled = try Stage(try open(driver))
        let reference = try Stage(try open("cpu", ["numerics": numerics, "kv_dtype": numerics]), kv: modelled.device.info.kvDType)
        let prompt: [UInt32] = [3, 1, 4, 1, 5, 9, 2, 6]
        #expect(try modelled.run(prompt) == reference.run(prompt))
        #expect(try modelled.run([7], at: 8) == reference.run([7], at: 8))
    }

    @Test("times are modelled, follow each other, and equal the estimate", arguments: ["trainium3", "cs3"])
    func times(driver: String) throws {
        let stage = try Stage(try open(driver))
        let done = try Timeline(on: stage.device)
        let layers = try Timeline(on: stage.device)
        _ = try stage.run([1, 2, 3], done: done, value: 1, layers: layers)
        _ = try stage.run([4], at: 3, done: done, value: 2)
        let (first, second) = (try done.query(1), try done.query(2))
        #expect(first.clock == .modelled)
        #expect(first.start == 0)
        #expect(second.start == first.end)
        let cost = try stage.device.library.estimate(.run(tokens: 3, sequences: 1, contextTokens: 6, rows: 1), program: stage.builder, options: [:])
        #expect(first.nanoseconds == cost.nanoseconds)
        let (one, two) = (try layers.query(1), try layers.query(2))
        #expect(one.clock == .modelled)
        #expect(one.end > 0 && one.end < two.end && two.end <= first.end)
    }

    @Test("KV of the first layer leaves while the batch still runs, in modelled time", arguments: ["trainium3", "cs3"])
    func overlap(driver: String) throws {
        let stage = try Stage(try open(driver))
        let done = try Timeline(on: stage.device)
        let layers = try Timeline(on: stage.device)
        let copied = try Timeline(on: stage.device)
        _ = try stage.run([1, 2, 3], done: done, value: 1, layers: layers)
        _ = try stage.export(layer: 0, tokens: 3, copied, 1)
        _ = try stage.export(layer: 1, tokens: 3, copied, 2)
        let (run, first, second) = (try done.query(1), try copied.query(1), try copied.query(2))
        #expect(first.start == (try layers.query(1).end))
        #expect(first.start < run.end)
        #expect(second.start == max(first.end, try layers.query(2).end))
        #expect(first.clock == .modelled)
    }

    @Test("KV comes back through export and import as it was", arguments: ["trainium3", "cs3"])
    func roundTrip(driver: String) throws {
        let stage = try Stage(try open(driver))
        let copied = try Timeline(on: stage.device)
        _ = try stage.run([1, 2, 3, 4, 5])
        let other = try Stage(try open(driver))
        let arrived = try Timeline(on: other.device)
        for layer in 0..<2 {
            let bytes = try stage.export(layer: layer, tokens: 5, copied, UInt64(layer + 1))
            try other.take(bytes, layer: layer, tokens: 5, arrived, UInt64(layer + 1))
        }
        let done = try Timeline(on: other.device)
        #expect(try other.run([6], at: 5, done: done, value: 1) == stage.run([6], at: 5))
        #expect(try done.query(1).start == (try arrived.query(2).end), "a batch starts once the KV it reads has arrived")
    }

    @Test("the layouts are the device's own order and dtype, for export and import")
    func layouts() throws {
        let orders: [(String, DType, Int, [KVAxis])] = [
            ("trainium3", .bf16, 32, [.layer, .block, .plane, .head, .dim, .token]), ("cs3", .f16, 16, [.layer, .plane, .head, .block, .token, .dim]),
        ]
        for (name, dtype, tokens, axes) in orders {
            let driver = try catalog.load(name)
            #expect(try driver.describe([:]).kvBlockTokens == tokens)
            let pool = KVPoolDescription(dtype: dtype, blockCount: 4, blockTokens: tokens, layers: 0..<2, kvHeads: 1, headDim: 32)
            for importing in [false, true] {
                let layouts = try driver.layouts(of: pool, importing: importing, options: [:])
                #expect(layouts.map(\.axes) == [axes])
                #expect(layouts.map(\.dtype) == [dtype])
            }
        }
    }

    @Test("a pool that does not fit is refused with bytes needed, bytes there and how many units would do")
    func capacity() throws {
        let device = try open("cs3")
        let pool = KVPoolDescription(dtype: .f16, blockCount: 100_000, blockTokens: 16, layers: 0..<80, kvHeads: 8, headDim: 128)
        let error = #expect(throws: DriverError.self) { _ = try KVPool(creating: pool, on: device) }
        #expect(error?.code == .resourceExhausted)
        for part in ["524288000000", "44000000000", "12 systems"] { #expect(error?.detail.contains(part) == true, "\(error?.detail ?? "")") }
    }

    @Test("after fail_after batches the device is lost", arguments: ["trainium3", "cs3"])
    func loss(driver: String) throws {
        let stage = try Stage(try open(driver, ["fail_after": "2"]))
        _ = try stage.run([1])
        try stage.device.checkHealth()
        _ = try stage.run([2], at: 1)
        let health = #expect(throws: DriverError.self) { try stage.device.checkHealth() }
        #expect(health?.code == .unavailable)
        let error = #expect(throws: DriverError.self) { _ = try stage.run([3], at: 2) }
        #expect(error?.code == .unavailable)
    }

    @Test("a full queue refuses more and the rest still runs")
    func backPressure() throws {
        let stage = try Stage(try open("trainium3", ["queue_depth": "2"]))
        let gate = try Timeline(on: stage.device)
        let done = try Timeline(on: stage.device)
        for value in 1...2 { try stage.queue([1], after: gate, done, UInt64(value)) }
        let error = #expect(throws: DriverError.self) { try stage.queue([1], after: gate, done, 3) }
        #expect(error?.code == .resourceExhausted)
        try gate.signal(1)
        try done.wait(2)
    }

    @Test("KV storage is neither shared nor adopted")
    func sharing() throws {
        let stage = try Stage(try open("trainium3"))
        let error = #expect(throws: DriverError.self) {
            _ = try KVPool(adopting: stage.pool, as: stage.pool.description, on: stage.device)
        }
        #expect(error?.code == .unimplemented)
    }
}
