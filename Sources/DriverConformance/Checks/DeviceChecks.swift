import CDriver
import Glibc
import Synchronization

extension Checks {
    /// D10
    static func infoKeepsToSize(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        let describe = try slot(subject.driver.describe, "describe")
        let read = try slot(subject.device.info, "device.info")
        try shortInfo("describe") { info, status in subject.withOptions { describe($0, info, status) } }
        try shortInfo("info") { info, status in read(bench.device, info, status) }
        return ""
    }

    private static func shortInfo(
        _ name: String, _ body: (UnsafeMutablePointer<baton_device_info>?, UnsafeMutablePointer<baton_status>) -> baton_code
    ) throws {
        let short = 48
        var room = [UInt64](repeating: 0xC3C3_C3C3_C3C3_C3C3, count: MemoryLayout<baton_device_info>.size / 8 + 4)
        try call("\(name) with a struct of \(short) bytes") { status in
            room.withUnsafeMutableBytes { bytes in
                bytes.storeBytes(of: UInt32(short), as: UInt32.self)
                return body(bytes.baseAddress?.assumingMemoryBound(to: baton_device_info.self), status)
            }
        }
        let spoiled = room.withUnsafeBytes { bytes in (short..<bytes.count).first { bytes[$0] != 0xC3 } }
        try require(spoiled == nil, "\(name): given room for \(short) bytes, the driver wrote byte \(spoiled ?? 0)")
    }

    /// D11
    static func infoIsSound(_ subject: Subject) throws -> Note {
        let info = try subject.describe()
        try require(!String(info.name).isEmpty, "the device has no name")
        try require((1...3).contains(info.engine), "engine is \(info.engine)")
        try require((1...2).contains(info.clock), "clock is \(info.clock)")
        try require(info.engine == BATON_ENGINE_MODEL || info.clock == BATON_CLOCK_WALL, "only a model of a device has a modelled clock")
        try require((1...2).contains(info.shape_rule), "shape_rule is \(info.shape_rule)")
        try require(info.max_batch_tokens > 0 && info.max_batch_sequences > 0, "a batch of no tokens or no sequences is all it takes")
        try require(info.queue_count > 0 && info.queue_depth > 0, "it has no queue, or one that holds nothing")
        try require(info.kv_dtype == 0 || info.kv_dtypes & (1 << UInt64(min(info.kv_dtype, 63))) != 0, "kv_dtype \(info.kv_dtype) is not among kv_dtypes")
        try require(info.kv_dtype == 0 || info.kv_block_tokens > 0, "it holds KV in blocks of no tokens")
        let buckets = (0..<Int(info.buckets == nil ? 0 : info.bucket_count)).map { info.buckets[$0] }
        try require(info.shape_rule != BATON_SHAPES_BUCKETS || !buckets.isEmpty, "its shapes are buckets and it names none")
        try require(zip(buckets, buckets.dropFirst()).allSatisfy { $0 < $1 }, "its buckets do not ascend: \(buckets)")
        return Note("\(String(info.name)), \(info.memory_bytes >> 20) MiB, \(info.queue_count) queues")
    }

    /// D12
    static func healthIsOK(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        let health = try slot(subject.device.health, "device.health")
        try call("health of a fresh device") { health(bench.device, $0) }
        return ""
    }

    /// D13
    static func quiescedRefuses(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        let job = try Job(bench, Stages.scale())
        let feed = Feed(plain: 2)
        try job.set([job.stage.inputs[0]: [Float](repeating: 1, count: 2 * Stages.width)])
        let done = try bench.timeline()
        defer { bench.release(timeline: done) }
        let quiet = try bench.quiesce()
        try require(quiet.isOK, "quiesce of an idle device gave \(quiet.text)")
        let answer = try job.submit(feed, Order(signal: done))
        try require(answer.code == Code.precondition, "submit after quiesce gave \(answer.isOK ? "OK" : answer.text); FAILED_PRECONDITION was due")
        return ""
    }

    /// D14
    static func quiesceWaits(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        let job = try Job(bench, Stages.scale())
        try job.set([job.stage.inputs[0]: [Float](repeating: 1, count: 2 * Stages.width)])
        let (gate, done) = (try bench.timeline(), try bench.timeline())
        let seen = Count()
        let notify = try slot(subject.timeline.notify, "timeline.notify")
        for value in 1...4 as ClosedRange<UInt64> {
            var order = Order(signal: done, value)
            order.waits = [(gate, 1)]
            let answer = try job.submit(Feed(plain: 2), order)
            try require(answer.isOK, "submit gave \(answer.text)")
            try call("notify") { notify(bench.device, done, value, Count.add, seen.pointer, $0) }
        }
        let opener = Later(20_000_000) { try? bench.signal(gate, 1) }
        let quiet = try bench.quiesce()
        let counted = seen.value
        opener.join()
        try require(quiet.isOK, "quiesce with time enough gave \(quiet.text)")
        let state = try bench.query(done, 4)
        try require(state.answer.isOK && state.event.value == 4, "quiesce returned while accepted work was unfinished: \(state.answer.isOK ? "\(state.event.value) of 4 values reached" : state.answer.text)")
        usleep(60_000)
        try require(seen.value == counted, "\(seen.value - counted) callbacks ran after quiesce had returned")
        bench.release(timeline: gate)
        bench.release(timeline: done)
        return Note("\(counted) callbacks before it returned")
    }

    /// D15
    static func quiesceCancels(_ subject: Subject) throws -> Note { Note("\(try cutWaiting(subject)); \(try cutRunning(subject))") }

    /// Work that waits when the time is over.
    private static func cutWaiting(_ subject: Subject) throws -> String {
        let bench = try Bench(subject)
        let job = try Job(bench, Stages.scale())
        try job.set([job.stage.inputs[0]: [Float](repeating: 1, count: 2 * Stages.width)])
        let (gate, done) = (try bench.timeline(), try bench.timeline())
        var order = Order(signal: done)
        order.waits = [(gate, 1)]
        let answer = try job.submit(Feed(plain: 2), order)
        try require(answer.isOK, "submit gave \(answer.text)")
        let start = now()
        let quiet = try bench.quiesce(30_000_000)
        let took = now() - start
        try require(quiet.code == Code.deadline, "quiesce that had to cancel work gave \(quiet.isOK ? "OK" : quiet.text); DEADLINE_EXCEEDED was due")
        try require(took < 5_000_000_000, "quiesce with 30 ms took \(took / 1_000_000) ms")
        let end = try bench.wait(done, 1, 1_000_000_000).answer
        try require(end.code == Code.cancelled, "the signal of work that quiesce cut off gave \(end.isOK ? "OK" : end.text); CANCELLED was due")
        bench.release(timeline: gate)
        bench.release(timeline: done)
        return "30 ms given, \(took / 1_000_000) ms taken"
    }

    /// Batches of which one runs when the time is over, with others behind it.
    private static func cutRunning(_ subject: Subject) throws -> String {
        let bench = try Bench(subject)
        let job = try busy(bench)
        let ends = try (0..<min(8, Int(bench.info.queue_depth))).map { _ in try bench.timeline() }
        defer { for end in ends { bench.release(timeline: end) } }
        for end in ends { try require(try job.submit(Feed(plain: job.stage.maxTokens), Order(signal: end)).isOK, "submit failed") }
        let quiet = try bench.quiesce(5_000_000)
        guard quiet.code != 0 else { return "the device is too fast to be cut off as it runs" }
        try require(quiet.code == Code.deadline, "quiesce that had to cut work off as it ran gave \(quiet.text); DEADLINE_EXCEEDED was due")
        let answers = try ends.map { try bench.wait($0, 1, 1_000_000_000).answer }
        let ended = answers.prefix { $0.isOK }.count
        try require(ended < answers.count, "quiesce gave DEADLINE_EXCEEDED and all work had ended")
        for (index, answer) in answers.enumerated().dropFirst(ended) {
            let batch = "batch \(index + 1) of \(answers.count), cut off while batch \(ended + 1) ran,"
            try require(answer.code == Code.cancelled, "\(batch) ended with \(answer.isOK ? "OK" : answer.text); CANCELLED was due")
        }
        return "\(ended) of \(answers.count) batches had ended when the rest was cut off"
    }

    /// A program that runs for some milliseconds, ready to.
    private static func busy(_ bench: Bench) throws -> Job {
        var stage = Stages.heavy(width: 256, links: 128)
        stage.maxTokens = min(64, Int(bench.info.max_batch_tokens))
        let job = try Job(bench, stage)
        try job.set([stage.inputs[0]: [Float](repeating: 0.5, count: stage.maxTokens * 256)])
        return job
    }

    /// D16
    static func closeFreesAll(_ subject: Subject) throws -> Note {
        for work in [Work.ended, .waiting, .running] { try close(subject, over: work) }
        let close = try slot(subject.device.close, "device.close")
        close(nil)
        let again = try Bench(subject)
        _ = try again.timeline()
        return ""
    }

    /// Where a device's work is when it is closed.
    private enum Work { case ended, waiting, running }

    /// Closes a device on which nothing was released.
    private static func close(_ subject: Subject, over work: Work) throws {
        let bench = try Bench(subject)
        let job = work == .running ? try busy(bench) : try Job(bench, Stages.scale())
        if work != .running { try job.set([job.stage.inputs[0]: [Float](repeating: 1, count: 2 * Stages.width)]) }
        let (gate, done) = (try bench.timeline(), try bench.timeline())
        for value in 1...3 as ClosedRange<UInt64> {
            var order = Order(signal: done, value)
            if work == .waiting { order.waits = [(gate, 1)] }
            _ = try job.submit(Feed(plain: work == .running ? job.stage.maxTokens : 2), order)
        }
        if work == .running { usleep(2_000) }
        _ = try bench.quiesce(work == .ended ? Bench.patience : 0)
        job.abandon()
        try bench.close()
    }

    /// D17
    static func hundredCycles(_ subject: Subject) throws -> Note {
        let start = now()
        for cycle in 0..<100 {
            let entry = try subject.loadedAgain()
            var out = baton_driver.sized()
            try require(entry(subject.host, &out) == 0, "the entry refused at load \(cycle + 1)")
            let bench = try Bench(subject)
            if cycle % 10 == 0, subject.timeline.create != nil, let timeline = try? bench.timeline() { bench.release(timeline: timeline) }
        }
        return Note("\((now() - start) / 100_000) us a cycle")
    }
}

/// Counts callbacks.
final class Count: Sendable {
    private let count = Atomic<Int>(0)
    private let code = Atomic<Int32>(0)
    var value: Int { count.load(ordering: .sequentiallyConsistent) }
    /// The code of the last event.
    var lastCode: Int32 { code.load(ordering: .sequentiallyConsistent) }
    /// Kept for ever: a driver that breaks a rule may call late.
    var pointer: UnsafeMutableRawPointer { Unmanaged.passRetained(self).toOpaque() }

    static let add: baton_callback = { user, event in
        guard let user else { return }
        let count = Unmanaged<Count>.fromOpaque(user).takeUnretainedValue()
        if let event { count.code.store(event.pointee.code, ordering: .sequentiallyConsistent) }
        count.count.add(1, ordering: .sequentiallyConsistent)
    }
}

/// Something done by a thread of its own after some nanoseconds.
final class Later: @unchecked Sendable {
    private var thread = pthread_t()
    private let delay: UInt64
    private let body: () -> Void

    init(_ nanoseconds: UInt64 = 0, _ body: @escaping () -> Void) {
        delay = nanoseconds
        self.body = body
        let me = Unmanaged.passRetained(self).toOpaque()
        pthread_create(&thread, nil, { argument in
            guard let argument else { return nil }
            let later = Unmanaged<Later>.fromOpaque(argument).takeRetainedValue()
            if later.delay > 0 { usleep(UInt32(clamping: later.delay / 1_000)) }
            later.body()
            return nil
        }, me)
    }

    func join() { pthread_join(thread, nil) }
}
