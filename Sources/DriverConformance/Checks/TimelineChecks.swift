import CDriver
import Glibc

extension Checks {
    /// D27
    static func timelinesRise(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        let timeline = try bench.timeline(10)
        defer { bench.release(timeline: timeline) }
        var state = try bench.query(timeline, 10)
        try require(state.answer.isOK && state.event.value == 10, "a timeline made at 10 is at \(state.event.value)")
        state = try bench.query(timeline, 12)
        try require(state.answer.isOK && state.event.value == 10, "asked for 12, a timeline at 10 gives \(state.answer.isOK ? "\(state.event.value)" : state.answer.text)")
        try bench.signal(timeline, 15)
        for (asked, due) in [(UInt64(12), UInt64(12)), (15, 15), (16, 15)] {
            state = try bench.query(timeline, asked)
            try require(state.answer.isOK && state.event.value == due, "at 15 and asked for \(asked) it gives \(state.event.value), not \(due)")
        }
        let signal = try slot(subject.timeline.signal, "timeline.signal")
        for value in [15, 14, 0] as [UInt64] { try refused("signal of \(value) at 15", [Code.invalid]) { signal(bench.device, timeline, value, $0) } }
        try bench.finish(timeline, 15)
        return ""
    }

    /// D28
    static func waitsEnd(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        let timeline = try bench.timeline()
        defer { bench.release(timeline: timeline) }
        for wanted in [0, 40_000_000] as [UInt64] {
            let start = now()
            let answer = try bench.wait(timeline, 1, wanted).answer
            let took = now() - start
            try require(answer.code == Code.deadline, "a wait of \(wanted) ns for a value not reached gave \(answer.isOK ? "OK" : answer.text)")
            try require(took + 2_000_000 >= wanted, "a wait of \(wanted / 1_000_000) ms gave up after \(took / 1_000) us")
            try require(took < wanted + 2_000_000_000, "a wait of \(wanted / 1_000_000) ms took \(took / 1_000_000) ms")
        }
        let signaller = Later(20_000_000) { try? bench.signal(timeline, 1) }
        let answer = try bench.wait(timeline, 1, .max).answer
        signaller.join()
        try require(answer.isOK, "a wait for ever gave \(answer.text)")
        return ""
    }

    /// D29
    static func failuresStay(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        let timeline = try bench.timeline()
        defer { bench.release(timeline: timeline) }
        let failer = Later(20_000_000) { try? bench.fail(timeline, 15, "seven crates were lost") }
        let early = try bench.wait(timeline, 5, 5_000_000_000).answer
        failer.join()
        let late = try bench.wait(timeline, 6, 1_000_000_000).answer
        let asked = try bench.query(timeline, 1).answer
        for (what, answer) in [("a wait before", early), ("a wait after", late), ("a query after", asked)] {
            try require(answer.code == 15, "\(what) the failure gave \(answer.isOK ? "OK" : answer.text); the reason's DATA_LOSS was due")
            try require(answer.words.contains("seven crates"), "\(what) the failure lost the reason's words: \(answer.words)")
        }
        return ""
    }

    /// D30
    static func callbacksComeOnce(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        let notify = try slot(subject.timeline.notify, "timeline.notify")
        let (timeline, doomed) = (try bench.timeline(3), try bench.timeline())
        defer { bench.release(timeline: timeline); bench.release(timeline: doomed) }
        let (past, next, never, lost) = (Count(), Count(), Count(), Count())
        try call("notify of a value reached") { notify(bench.device, timeline, 3, Count.add, past.pointer, $0) }
        try require(past.value == 1, "notify of a value that is reached called back \(past.value) times before it returned; once was due")
        try call("notify") { notify(bench.device, timeline, 5, Count.add, next.pointer, $0) }
        try call("notify") { notify(bench.device, timeline, 900, Count.add, never.pointer, $0) }
        try call("notify") { notify(bench.device, doomed, 1, Count.add, lost.pointer, $0) }
        try bench.signal(timeline, 4)
        try require(next.value == 0, "a callback for 5 came at 4")
        try bench.signal(timeline, 6)
        try bench.signal(timeline, 7)
        try bench.fail(doomed, 10, "stop")
        for _ in 0..<200 where next.value < 1 || lost.value < 1 { usleep(1_000) }
        usleep(20_000)
        try require(next.value == 1, "the callback for 5 came \(next.value) times at 7")
        try require(never.value == 0, "a callback for 900 came at 7")
        try require(lost.value == 1 && lost.lastCode == 10, "the callback of a failed timeline came \(lost.value) times, with code \(lost.lastCode)")
        return ""
    }

    /// D31
    static func eventsHaveTimes(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        let timeline = try bench.timeline()
        defer { bench.release(timeline: timeline) }
        let job = try Job(bench, Stages.model())
        var last: UInt64 = 0
        for value in 1...5 as ClosedRange<UInt64> {
            let answer = try job.submit(Feed([.init(tokens: [1, 2], blocks: [0])]), Order(signal: timeline, value))
            try require(answer.isOK, "submit gave \(answer.text)")
            try bench.finish(timeline, value)
        }
        for value in 6...4_100 as ClosedRange<UInt64> { try bench.signal(timeline, value) }
        for value in 5...4_100 as ClosedRange<UInt64> {
            let event = try bench.query(timeline, value).event
            try require(event.value == value, "asked for \(value) it gives the times of \(event.value)")
            try require(value > 5 || event.clock == bench.info.clock, "work is timed on clock \(event.clock) and the device's is \(bench.info.clock)")
            try require(event.end_ns >= event.start_ns, "value \(value) ended \(event.start_ns - event.end_ns) ns before it began")
            // A modelled clock may stand at 0 where the work takes no modelled time.
            try require(event.end_ns > 0 || event.clock == baton_clock(BATON_CLOCK_MODELLED), "the times of value \(value) are gone after \(4_100 - value) more signals; 4,096 are kept")
            if value > 6 { try require(event.end_ns >= last, "value \(value) ended before the one before it") }
            last = event.end_ns
        }
        return ""
    }

    /// D32
    static func workWaits(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        let job = try Job(bench, Stages.scale())
        let (a, b, done) = (try bench.timeline(), try bench.timeline(), try bench.timeline())
        defer { for timeline in [a, b, done] { bench.release(timeline: timeline) } }
        let feed = Feed(plain: 2)
        try job.set([job.stage.inputs[0]: [Float](repeating: 3, count: 2 * Stages.width)])
        var first = Order(signal: done, 1)
        first.waits = [(a, 1), (b, 7)]
        try require(try job.submit(feed, first).isOK, "submit with two waits failed")
        try require(try job.submit(feed, Order(signal: done, 2)).isOK, "a second submit failed")
        try bench.signal(a, 1)
        usleep(30_000)
        let early = try bench.query(done, 1)
        try require(early.answer.isOK && early.event.value == 0, "work ended at value \(early.event.value) while one of its two waits was not reached")
        try require(try job.results(feed)[job.stage.outputs[0]]?.allSatisfy { $0 == 0 } == true, "work wrote its output while one of its two waits was not reached")
        try bench.signal(b, 8)
        try bench.finish(done, 2)
        try require(try job.results(feed)[job.stage.outputs[0]]?.allSatisfy { $0 == 6 } == true, "the work that waited gave wrong values")
        return ""
    }

    /// D33
    static func failedWaitsAbort(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        let job = try Job(bench, Stages.scale())
        let (gate, done, after) = (try bench.timeline(), try bench.timeline(), try bench.timeline())
        defer { for timeline in [gate, done, after] { bench.release(timeline: timeline) } }
        try job.set([job.stage.inputs[0]: [Float](repeating: 3, count: 2 * Stages.width)])
        var order = Order(signal: done)
        order.waits = [(gate, 1)]
        try require(try job.submit(Feed(plain: 2), order).isOK, "submit failed")
        try bench.fail(gate, Code.cancelled, "the request was withdrawn")
        let answer = try bench.wait(done, 1).answer
        try require(answer.code == Code.aborted, "work whose wait failed gave \(answer.isOK ? "OK" : answer.text); ABORTED was due")
        try require(try job.results(Feed(plain: 2))[job.stage.outputs[0]]?.allSatisfy { $0 == 0 } == true, "work whose wait failed has run all the same")
        try require(try job.submit(Feed(plain: 2), Order(signal: after)).isOK, "after a cancelled submit the next failed")
        try bench.finish(after)
        return ""
    }

    /// D34
    static func layersComeInOrder(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        let stage = Stages.model(layers: 3)
        let job = try Job(bench, stage)
        let layouts = try Layouts(job, importing: false)
        let (layers, done) = (try bench.timeline(), try bench.timeline())
        defer { bench.release(timeline: layers); bench.release(timeline: done) }
        var random = Random(21)
        let feed = Feed([.init(tokens: random.indices(24, below: Stages.vocabulary), blocks: Array(0..<16))])
        let kept = LayerTimes(bench: bench, layers: layers, done: done)
        var order = Order(signal: done)
        order.layers = (layers, 100)
        try require(try job.submit(feed, order).isOK, "submit with a layer timeline failed")
        var early: [[UInt8]] = []
        let queue = bench.info.queue_count > 1 ? UInt32(1) : 0
        for layer in 0..<3 {
            try bench.finish(layers, UInt64(101 + layer), "layer \(layer)")
            early.append(try layouts.export(layers: layer..<layer + 1, blocks: feed.pieces[0].blocks, tokens: 24, queue: queue))
        }
        try bench.finish(done)
        let over = try bench.query(layers, 200)
        try require(over.answer.isOK && over.event.value == 103, "three layers after 100 leave the timeline at \(over.event.value)")
        for layer in 0..<3 {
            let late = try layouts.export(layers: layer..<layer + 1, blocks: feed.pieces[0].blocks, tokens: 24, queue: queue)
            try require(late == early[layer], "the KV of layer \(layer) changed after its signal")
        }
        return Note(try kept.text())
    }

    /// How far before the end each layer came.
    private struct LayerTimes {
        var bench: Bench
        var layers, done: OpaquePointer

        func text() throws -> String {
            let end = try bench.query(done, 1).event
            let first = try bench.query(layers, 101).event
            let last = try bench.query(layers, 103).event
            try require(first.end_ns <= last.end_ns && last.end_ns <= end.end_ns, "layers are timed after the end of their batch, or out of order")
            return "the first of 3 layers came \((end.end_ns - first.end_ns) / 1_000) us before the end"
        }
    }
}
