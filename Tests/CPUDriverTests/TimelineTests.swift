import Driver
import Foundation
import Glibc
import Testing

/// Order: of layers, of batches, of waits, and of the end.
@Suite("The cpu driver's timelines", .enabled(if: Rig.isBuilt, "no cpu driver"))
struct TimelineTests {
    private let second: UInt64 = 1_000_000_000
    private let prompt = Rig.Piece(tokens: Array(1...20), blocks: [3, 5, 1])

    @Test("layers are signalled in order, from the base, each before the batch ends")
    func layers() throws {
        let rig = try Rig()
        let done = try Timeline(on: rig.device)
        let layers = try Timeline(on: rig.device, value: 100)
        var sync = Sync()
        sync.signal(done, 1)
        sync.signalLayers(layers, base: 100)
        try rig.submit(rig.batch([prompt]), sync: sync)
        let run = try done.wait(1, timeout: Rig.patience)
        let events = try (101...102).map { try layers.query($0) }
        #expect(events.map(\.value) == [101, 102], "each layer has its own signal")
        #expect(try layers.query(.max).value == 102, "and there are no more")
        #expect(Set(events.map(\.clock) + [run.clock]) == [.wall])
        #expect(run.start <= events[0].end)
        #expect(events[0].end < events[1].end)
        #expect(events[1].end <= run.end)
        #expect(run.start < run.end)
    }

    @Test("a layer's KV is whole in the pool when its signal comes", arguments: 0..<12)
    func written(round: Int) throws {
        let rig = try Rig()
        let reference = try Rig(rig.device)
        try reference.run(prompt)
        let layout = try #require(try rig.device.library.layouts(of: rig.pool.description, importing: false, options: rig.device.options).first)
        let layers = try Timeline(on: rig.device)
        let gate = try Timeline(on: rig.device)
        let copied = try Timeline(on: rig.device)
        let done = try Timeline(on: rig.device)
        let region = try HostRegion(count: 2 * 3 * layout.bytesPerBlockLayer)
        for layer in 0..<2 {
            var sync = Sync(queue: 1)
            sync.wait(for: layers, UInt64(layer + 1))
            sync.signal(copied, UInt64(layer + 1))
            let range = KVRange(layers: layer..<layer + 1, blocks: prompt.blocks, tokens: prompt.tokens.count)
            let place = region.base + layer * 3 * layout.bytesPerBlockLayer
            try rig.pool.export(range, as: layout, to: .host(place, count: 3 * layout.bytesPerBlockLayer), sync: sync)
        }
        var sync = Sync()
        sync.wait(for: gate, 1)
        sync.signal(done, 1)
        sync.signalLayers(layers, base: 0)
        try rig.submit(rig.batch([prompt]), sync: sync)
        refusal(.deadlineExceeded) { try copied.wait(1, timeout: 2_000_000) }
        try gate.signal(1)
        let (first, last) = (try copied.wait(1, timeout: Rig.patience), try copied.wait(2, timeout: Rig.patience))
        #expect(try first.start >= layers.query(1).end)
        #expect(try last.start >= layers.query(2).end)
        let wanted = try (0..<2).flatMap { layer in
            try reference.export(KVRange(layers: layer..<layer + 1, blocks: prompt.blocks, tokens: prompt.tokens.count), as: layout)
        }
        #expect(Array(region.bytes) == wanted)
        try done.wait(1, timeout: Rig.patience)
    }

    @Test("batches queued without waiting give what they give one by one")
    func queued() throws {
        let (waiting, flowing) = (try Rig(), try Rig())
        let row = TinyModel.vocabulary * 4
        var wanted = try waiting.run(prompt).suffix(1)
        for step in 0..<6 { wanted += try waiting.run(.init(tokens: [UInt32(30 + step)], position: 20 + step, blocks: prompt.blocks)) }
        let done = try Timeline(on: flowing.device)
        for step in 0...6 {
            var sync = Sync()
            sync.signal(done, UInt64(step + 1))
            let piece = step == 0 ? prompt : .init(tokens: [UInt32(29 + step)], position: 19 + step, blocks: prompt.blocks)
            try flowing.submit(flowing.batch([piece], rows: [UInt32(piece.tokens.count - 1)], offset: step * row), sync: sync)
        }
        try done.wait(7, timeout: Rig.patience)
        #expect(difference(try flowing.read(7), Array(wanted)) <= 1e-5)
        let ends = try (1...7).map { try done.query($0) }
        for (a, b) in zip(ends, ends.dropFirst()) { #expect(a.end <= b.start, "a queue runs one batch at a time") }
    }

    @Test("batches on both queues at once do not disturb each other", arguments: 0..<10)
    func bothQueues(round: Int) throws {
        let device = try Rig.open()
        let (left, right) = (try Rig(device), try Rig(device))
        let other = Rig.Piece(tokens: Array(21...48), blocks: [9, 8, 7, 6])
        let wanted = (try left.run(prompt), try right.run(other))
        let done = [try Shared(device), try Shared(device)]
        for step in 1...20 {
            for (queue, rig) in [left, right].enumerated() {
                var sync = Sync(queue: queue)
                sync.signal(done[queue].timeline, UInt64(step))
                try rig.submit(rig.batch([queue == 0 ? prompt : other]), sync: sync)
            }
        }
        for each in done { try each.timeline.wait(20, timeout: Rig.patience) }
        #expect(try left.read(20) == wanted.0)
        #expect(try right.read(28) == wanted.1)
    }

    @Test("a batch waits for the value that the host signals, and no less")
    func gate() throws {
        let rig = try Rig()
        let gate = try Timeline(on: rig.device)
        let done = try Timeline(on: rig.device)
        var sync = Sync()
        sync.wait(for: gate, 2)
        sync.signal(done, 1)
        try rig.submit(rig.batch([prompt]), sync: sync)
        refusal(.deadlineExceeded) { try done.wait(1, timeout: 20_000_000) }
        try gate.signal(1)
        refusal(.deadlineExceeded) { try done.wait(1, timeout: 20_000_000) }
        let before = rig.now
        try gate.signal(2)
        #expect(try done.wait(1, timeout: Rig.patience).start >= before)
        #expect(difference(try rig.read(20), try Rig(rig.device).run(prompt)) == 0)
    }

    @Test("a wait on a timeline that fails drops the batch with the reason")
    func failedWait() throws {
        let rig = try Rig()
        let gate = try Timeline(on: rig.device)
        let done = try Timeline(on: rig.device)
        let layers = try Timeline(on: rig.device)
        var sync = Sync()
        sync.wait(for: gate, 1)
        sync.signal(done, 1)
        sync.signalLayers(layers, base: 0)
        try rig.submit(rig.batch([prompt]), sync: sync)
        try gate.fail(DriverError(.dataLoss, driver: "host", call: "test", detail: "the peer went away"))
        refusal(.aborted, "the peer went away") { try done.wait(1, timeout: Rig.patience) }
        refusal(.aborted) { try layers.wait(1, timeout: Rig.patience) }
        try rig.run(prompt)
    }

    @Test("a queue holds as many batches as it says and then refuses")
    func fullQueue() throws {
        let rig = try Rig()
        let gate = try Timeline(on: rig.device)
        let done = try Timeline(on: rig.device)
        func submit(_ value: UInt64) throws {
            var sync = Sync()
            sync.wait(for: gate, 1)
            sync.signal(done, value)
            try rig.submit(rig.batch([.init(tokens: [1], blocks: [0])]), sync: sync)
        }
        let depth = rig.device.info.queueDepth
        for value in 1...UInt64(depth) { try submit(value) }
        refusal(.resourceExhausted, "\(depth)") { try submit(UInt64(depth + 1)) }
        try gate.signal(1)
        try done.wait(UInt64(depth), timeout: Rig.patience)
        try submit(UInt64(depth + 1))
        try done.wait(UInt64(depth + 1), timeout: Rig.patience)
    }

    @Test("quiesce waits for what was accepted, and refuses more")
    func quiesce() throws {
        let rig = try Rig()
        let gate = try Shared(rig.device)
        let done = try Timeline(on: rig.device)
        for value in 1...8 as ClosedRange<UInt64> {
            var sync = Sync()
            if value == 1 { sync.wait(for: gate.timeline, 1) }
            sync.signal(done, value)
            try rig.submit(rig.batch([prompt]), sync: sync)
        }
        let opener = Thread {
            usleep(30_000)
            try? gate.timeline.signal(1)
        }
        opener.start()
        try rig.device.quiesce(nanoseconds: 20 * second)
        #expect(try done.query(8).value == 8, "all of it has ended")
        refusal(.failedPrecondition, "quiesced") { try rig.submit(rig.batch([prompt]), sync: Sync()) }
        refusal(.failedPrecondition) { try rig.pool.copyBlocks(from: [0], to: [1], sync: Sync(queue: 1)) }
    }

    @Test("quiesce that runs out of time cancels what is left")
    func quiesceTimeout() throws {
        let rig = try Rig()
        let never = try Timeline(on: rig.device)
        let done = try Timeline(on: rig.device)
        for value in 1...3 as ClosedRange<UInt64> {
            var sync = Sync()
            sync.wait(for: never, 1)
            sync.signal(done, value)
            try rig.submit(rig.batch([prompt]), sync: sync)
        }
        refusal(.deadlineExceeded, "3 pieces") { try rig.device.quiesce(nanoseconds: 20_000_000) }
        refusal(.cancelled) { try done.wait(1, timeout: 0) }
    }

    @Test("a device closes with work running and work that never can run", arguments: 0..<20)
    func closeInFlight(round: Int) throws {
        let device = try Rig.open()
        var rig: Rig? = try Rig(device)
        let done = try Timeline(on: device)
        for value in 1...20 as ClosedRange<UInt64> {
            var sync = Sync(queue: Int(value % 2))
            sync.signal(done, value)
            if let rig { try? rig.submit(rig.batch([prompt]), sync: sync) }
        }
        // Quiesce ends the work with no patience; only then may what it uses be released.
        do { try device.quiesce(nanoseconds: UInt64(round) * 100_000) } catch { #expect(error.code == .deadlineExceeded) }
        rig = nil
        #expect(rig == nil)
    }
}

extension Rig {
    /// CLOCK_MONOTONIC, as events on the wall clock have it.
    var now: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}

/// A timeline that can lie in an array.
final class Shared: Sendable {
    let timeline: Timeline
    init(_ device: Device) throws { timeline = try Timeline(on: device) }
}
