import Driver
@testable import Engine
import TestKit
import Testing

/// How logits come from a device to who samples from them.
@Suite(.enabled(if: TestModel.path != nil && TestDrivers.has("cpu"), "the real model or the cpu driver is not there"))
struct LogitsTests {
    enum Way: CaseIterable { case bare, layered, isolated }

    @Test(
        "logits are lent where the host sees the device's memory and read where it does not; they are the same, may be changed, and are never taken for the next run's",
        arguments: Way.allCases)
    func lent(way: Way) throws {
        let host = StageDevices.Named(
            label: "host", driver: "cpu", options: ["numerics": "f32"], layers: way == .layered ? [LayerName(.validate)] : [],
            isolation: way == .isolated ? TestDrivers.isolation() : nil)
        let model = try TestModel.open()
        let placed = try PlacedStage(StageDevices(stage: "both", devices: [host]), model, context: 64, sequences: 1, TestDrivers.catalog())
        var opener = StageOpener(model: model, progress: nil)
        let stage = try opener.open(placed)
        var kv = try KVState(reserving: 16, from: stage.allocator)
        _ = try Prefill(stage: stage, trace: nil).run([504, 28, 2341, 99], into: &kv, tokenStep: 1)
        var (read, spare): ([Float], [Float]) = ([], [])
        try stage.readLogits(rows: 1, into: &read)
        let seen = try stage.withLogits(rows: 1, &spare) { (row) throws(EngineError) in
            defer { row[5] = 1e9 }
            return Array(row)
        }
        #expect(seen == read && read.count == stage.vocabulary)
        #expect(spare.isEmpty == (way == .bare))
        // Nothing has run since.
        if way == .bare { #expect(try stage.withLogits(rows: 1, &spare) { (row) throws(EngineError) in row[0].isNaN }) }
        var steps = Decode(stage: stage, trace: nil)
        try steps.step(7, &kv)
        let next = try stage.withLogits(rows: 1, &spare) { (row) throws(EngineError) in Array(row) }
        #expect(!next.contains(where: \.isNaN) && next[5] < 1e6 && next != read)
    }
}
