import CDriver
import Glibc

extension Checks {
    /// D46
    static func arraysStateTheirStride(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        var random = Random(46)
        let feed = Feed([.init(tokens: random.indices(9, below: Stages.vocabulary), blocks: [2, 5])])
        let plain = try Job(bench, Stages.model()).output(feed)
        let wide = try Job(bench, Stages.model(), padding: 24).output(feed, padding: 16)
        try Closeness.hold("with arrays of longer structs", wide, to: plain, 0)
        return ""
    }

    /// D47
    static func wrongProgramsAreRefused(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        let compile = try slot(subject.program.compile, "program.compile")
        let weights = try bench.allocate(1 << 20)
        defer { bench.release(weights) }
        var wrong: [(String, Stage)] = []
        func add(_ name: String, _ base: Stage = Stages.model(), _ change: (inout Stage) -> Void) {
            var stage = base
            change(&stage)
            wrong.append((name, stage))
        }
        add("an input that is no tensor") { $0.ops[3].inputs.0 = 9_999 }
        add("an output that is no tensor") { $0.ops[2].output = 9_999 }
        add("an operation after its use") { $0.ops.swapAt(1, 2) }
        add("five inputs") { $0.ops[1].input_count = 5 }
        add("an unknown rank") { $0.tensors[0].dims = [] }
        add("a weight of no columns") { $0.tensors[0].dims = [40, 0] }
        add("a weight past its buffer") { $0.tensors[0].offset = 1 << 40 }
        add("rope over no heads") { stage in for index in stage.ops.indices where stage.ops[index].kind == 4 { stage.ops[index].heads = 0 } }
        add("KV heads that do not divide the heads") { stage in for index in stage.ops.indices where stage.ops[index].kind == 5 { stage.ops[index].kv_heads = 3 } }
        for (name, stage) in wrong {
            var out: OpaquePointer?
            try refused("compile of a program with \(name)", [Code.invalid, Code.unimplemented]) { status in
                stage.lend(weights: weights) { compile(bench.device, $0, &out, status) }
            }
        }
        var out: OpaquePointer?
        try refused("compile without weights' buffers", [Code.invalid]) { status in
            Stages.model().lend(weights: nil) { compile(bench.device, $0, &out, status) }
        }
        return Note("\(wrong.count + 1) wrong programs")
    }

    /// D48
    static func wrongBatchesAreRefused(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        let job = try Job(bench, Stages.model())
        let done = try bench.timeline()
        defer { bench.release(timeline: done) }
        let good = Feed([.init(tokens: [1, 2, 3], blocks: [0, 1])])
        var wrong: [(String, Feed)] = []
        func add(_ name: String, _ change: (inout Feed) -> Void) {
            var feed = good
            change(&feed)
            wrong.append((name, feed))
        }
        add("token \(Stages.vocabulary) of a vocabulary of \(Stages.vocabulary)") { $0.tokens[1] = UInt32(Stages.vocabulary) }
        add("row 3 of 3 tokens") { $0.rows = [3] }
        add("sequence 1 of one") { $0.sequences[2] = 1 }
        add("block 16 of 16") { $0.tables[0] = 16 }
        for (name, feed) in wrong {
            let answer = try job.submit(feed, Order(signal: done))
            try require(answer.code == Code.invalid, "a batch with \(name) gave \(answer.isOK ? "OK" : answer.text); INVALID_ARGUMENT was due")
        }
        try require(try job.submit(good, Order(signal: done)).isOK, "after refused batches a right one fails")
        try bench.finish(done)
        return ""
    }

    /// D49
    static func largeBatchesAreRefused(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        var stage = Stages.model()
        stage.maxTokens = 16
        stage.maxSequences = 2
        let job = try Job(bench, stage)
        let done = try bench.timeline()
        defer { bench.release(timeline: done) }
        for (name, feed) in [
            ("17 tokens of 16", Feed([.init(tokens: [UInt32](repeating: 1, count: 17), blocks: [0, 1, 2])])),
            ("3 sequences of 2", Feed((0..<3).map { .init(tokens: [1], blocks: [$0]) })),
        ] {
            let answer = try job.submit(feed, Order(signal: done))
            try require(answer.code == Code.outOfRange, "a batch of \(name) that the program was compiled for gave \(answer.isOK ? "OK" : answer.text); OUT_OF_RANGE was due")
        }
        return ""
    }

    private static func prompts(_ random: inout Random, _ counts: [Int]) -> [[UInt32]] { counts.map { random.indices($0, below: Stages.vocabulary) } }

    /// D50
    static func batchesAreTheirParts(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        let job = try Job(bench, Stages.model())
        var random = Random(50)
        let prompts = prompts(&random, [9, 1, 17])
        var apart: [Float] = []
        for (index, prompt) in prompts.enumerated() {
            apart += try job.output(Feed([.init(tokens: prompt, blocks: [UInt32(index * 2), UInt32(index * 2 + 1)])]))
        }
        let together = Feed(prompts.enumerated().map { .init(tokens: $1, blocks: [UInt32(8 + $0 * 2), UInt32(9 + $0 * 2)]) })
        let found = try job.output(together)
        try Closeness.hold("three sequences in one batch", found, to: apart, Closeness.attention(bench))
        return Note("difference \(Closeness.difference(found, apart))")
    }

    /// D51
    static func anyBlocksDo(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        let job = try Job(bench, Stages.model())
        var random = Random(51)
        let prompt = random.indices(2 * job.blockTokens + 3, below: Stages.vocabulary)
        guard prompt.count <= Int(bench.info.max_batch_tokens), prompt.count <= job.stage.maxTokens else { return "blocks are as long as a batch" }
        let wanted = try job.output(Feed([.init(tokens: prompt, blocks: [0, 1, 2])]))
        for _ in 0..<3 {
            let found = try job.output(Feed([.init(tokens: prompt, blocks: Array(random.shuffled(16).prefix(3)))]))
            try Closeness.hold("other blocks in the table", found, to: wanted, 0)
        }
        return ""
    }

    /// D52
    static func chunksAreTheWhole(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        let job = try Job(bench, Stages.model())
        var random = Random(52)
        let prompt = random.indices(29, below: Stages.vocabulary)
        let wanted = try job.output(Feed([.init(tokens: prompt, blocks: [4, 2])]))
        var found: [Float] = []
        for (from, to) in [(0, 13), (13, 14), (14, 29)] {
            found += try job.output(Feed([.init(tokens: Array(prompt[from..<to]), position: from, blocks: [9, 7])]))
        }
        try Closeness.hold("a prompt in three chunks", found, to: wanted, Closeness.attention(bench))
        return Note("difference \(Closeness.difference(found, wanted))")
    }

    /// D53
    static func submitReturnsAtOnce(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        let gateJob = try Job(bench, Stages.scale())
        try gateJob.set([gateJob.stage.inputs[0]: [Float](repeating: 1, count: 2 * Stages.width)])
        let (gate, done) = (try bench.timeline(), try bench.timeline())
        defer { bench.release(timeline: gate); bench.release(timeline: done) }
        let opener = Later(400_000_000) { try? bench.signal(gate, 1) }
        var order = Order(signal: done)
        order.waits = [(gate, 1)]
        var start = now()
        try require(try gateJob.submit(Feed(plain: 2), order).isOK, "submit failed")
        let held = now() - start
        opener.join()
        try bench.finish(done)
        try require(held < 300_000_000, "submit of work that had to wait took \(held / 1_000_000) ms")
        var words: String?
        for links in [4, 16, 64, 256] {
            var stage = Stages.heavy(width: 256, links: links)
            stage.maxTokens = min(64, Int(bench.info.max_batch_tokens))
            let job = try Job(bench, stage)
            let feed = Feed(plain: stage.maxTokens)
            _ = try job.run(feed, [stage.inputs[0]: [Float](repeating: 0.5, count: stage.maxTokens * 256)])
            var best: (submit: UInt64, run: UInt64) = (.max, 1)
            for value in UInt64(links * 10)..<UInt64(links * 10 + 4) {
                start = now()
                try require(try job.submit(feed, Order(signal: done, value)).isOK, "submit failed")
                let submitted = now() - start
                try bench.finish(done, value)
                let ran = now() - start
                if submitted < best.submit { best = (submitted, ran) }
            }
            guard best.run > 4_000_000 else { continue }
            let found = "submit took \(best.submit / 1_000) us of a run of \(best.run / 1_000) us"
            if best.submit * 2 < best.run { return Note(found) }
            // On a busy machine the caller itself may have been held up: a submit that runs the batch takes as long with any work.
            words = found
        }
        try require(words == nil, words ?? "")
        return "the device is too fast to tell submit from run"
    }

    /// D54
    static func fullQueuesRefuse(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        let depth = Int(bench.info.queue_depth)
        guard depth <= 4_096 else { return "a queue is too deep to fill here" }
        let job = try Job(bench, Stages.scale())
        try job.set([job.stage.inputs[0]: [Float](repeating: 1, count: 2 * Stages.width)])
        let (gate, done) = (try bench.timeline(), try bench.timeline())
        defer { bench.release(timeline: gate); bench.release(timeline: done) }
        var held = 0
        var last: Answer?
        while held < depth + 2 {
            var order = Order(signal: done, UInt64(held + 1))
            order.waits = [(gate, 1)]
            let answer = try job.submit(Feed(plain: 2), order)
            guard answer.isOK else { last = answer; break }
            held += 1
        }
        try bench.signal(gate, 1)
        if held > 0 { try bench.finish(done, UInt64(held)) }
        guard let last else { throw Broken("a queue of depth \(depth) took \(held) submits and refused none") }
        try require(last.code == Code.exhausted, "submit \(held + 1) to a queue of depth \(depth) gave \(last.text); RESOURCE_EXHAUSTED was due")
        try require(held >= depth, "a queue of depth \(depth) was full after \(held) submits")
        return Note("\(held) submits held")
    }

    /// D55
    static func threadsDoNotMeet(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        let queues = min(2, Int(bench.info.queue_count))
        var random = Random(55)
        let lanes = try (0..<2).map { try Lane(bench, queue: UInt32($0 % queues), random.indices(12, below: Stages.vocabulary)) }
        for lane in lanes { lane.wanted = try lane.job.output(lane.feed) }
        let threads = lanes.map { lane in Later { lane.run(queues == 1) } }
        for thread in threads { thread.join() }
        for lane in lanes { if let problem = lane.problem { throw Broken("two threads at once: \(problem)") } }
        return Note("two threads, \(queues) queues, \(Lane.rounds) batches each")
    }

    /// One thread's own program, pool and timeline.
    private final class Lane: @unchecked Sendable {
        static let rounds = 12
        let job: Job
        let feed: Feed
        let queue: UInt32
        var wanted: [Float] = []
        var problem: String?
        private static let turn = Turn()

        init(_ bench: Bench, queue: UInt32, _ tokens: [UInt32]) throws {
            job = try Job(bench, Stages.model())
            feed = Feed([.init(tokens: tokens, blocks: [0, 1])])
            self.queue = queue
        }

        func run(_ inTurn: Bool) {
            do {
                let done = try job.bench.timeline()
                defer { job.bench.release(timeline: done) }
                for round in 1...UInt64(Self.rounds) {
                    if inTurn { Self.turn.lock() }
                    let answer = try job.submit(feed, Order(signal: done, round, queue: queue))
                    if inTurn { Self.turn.unlock() }
                    try require(answer.isOK, "submit gave \(answer.text)")
                    try job.bench.finish(done, round)
                    try Closeness.hold("round \(round)", try job.results(feed)[job.stage.outputs[0]] ?? [], to: wanted, 0)
                }
            } catch { problem = "\(error)" }
        }
    }

    /// Orders the calls on one queue, as the contract asks of the caller.
    private final class Turn: @unchecked Sendable {
        private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
        init() { pthread_mutex_init(mutex, nil) }
        func lock() { pthread_mutex_lock(mutex) }
        func unlock() { pthread_mutex_unlock(mutex) }
        deinit { pthread_mutex_destroy(mutex); mutex.deallocate() }
    }

    /// D56
    static func argumentsAreCopied(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        let job = try Job(bench, Stages.model())
        var random = Random(56)
        let feed = Feed([.init(tokens: random.indices(12, below: Stages.vocabulary), blocks: [3, 6])])
        let wanted = try job.output(feed)
        let (gate, done) = (try bench.timeline(), try bench.timeline())
        defer { bench.release(timeline: gate); bench.release(timeline: done) }
        var order = Order(signal: done)
        order.waits = [(gate, 1)]
        let submit = try slot(subject.program.submit, "program.submit")
        let answer = ask { status in
            order.lend { sync in
                feed.lend(pool: job.pool, job.bindings()) { batch in
                    let code = submit(bench.device, job.program, batch, sync, status)
                    scribble(batch, feed)
                    return code
                }
            }
        }
        try require(answer.isOK, "submit gave \(answer.text)")
        try bench.signal(gate, 1)
        try bench.finish(done)
        try Closeness.hold("a batch whose arrays were reused after submit", try job.results(feed)[job.stage.outputs[0]] ?? [], to: wanted, 0)
        return ""
    }

    /// Overwrites what a batch points to, as its caller may once submit has returned.
    private static func scribble(_ batch: UnsafeMutablePointer<baton_batch>, _ feed: Feed) {
        func zero(_ array: UnsafePointer<UInt32>?, _ count: Int) {
            UnsafeMutablePointer(mutating: array)?.update(repeating: 0, count: count)
        }
        zero(batch.pointee.tokens, feed.tokens.count)
        zero(batch.pointee.positions, feed.positions.count)
        zero(batch.pointee.rows, feed.rows.count)
        zero(batch.pointee.block_tables, feed.tables.count)
        batch.pointee = baton_batch()
    }

    /// D57
    static func nothingLeaks(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        func cycle() throws {
            let job = try Job(bench, Stages.model())
            _ = try job.output(Feed([.init(tokens: [1, 2, 3, 4], blocks: [0])]))
            let big = try bench.allocate(256 << 10)
            try bench.write(big, [UInt8](repeating: 1, count: 256 << 10))
            bench.release(big)
            let fleeting = try Bench(subject)
            _ = try fleeting.timeline()
        }
        for _ in 0..<25 { try cycle() }
        let before = (descriptors: entries("fd"), threads: entries("task"))
        // An allocator may keep more after one round of cycles; what is lost is lost in every round.
        var grown = Int.max
        for _ in 0..<3 where grown / 60 >= 64 << 10 {
            let memory = residentBytes()
            for _ in 0..<60 { try cycle() }
            grown = residentBytes() - memory
        }
        let each = grown / 60
        try require(each < 64 << 10, "60 cycles of open, compile, run, allocate and release left \(grown >> 10) KiB, \(each >> 10) KiB each")
        let (descriptors, threads) = (entries("fd") - before.descriptors, entries("task") - before.threads)
        try require(descriptors < 30, "60 cycles of open, compile, run, allocate and release left \(descriptors) descriptors open")
        try require(threads < 30, "60 cycles of open, compile, run, allocate and release left \(threads) threads")
        return Note("\(max(0, grown) >> 10) KiB, \(descriptors) descriptors and \(threads) threads in 60 cycles")
    }

    /// What this process has open, or how many threads it has.
    private static func entries(_ kind: String) -> Int {
        guard let folder = opendir("/proc/self/\(kind)") else { return 0 }
        defer { closedir(folder) }
        var count = 0
        while readdir(folder) != nil { count += 1 }
        return count
    }

    /// Bytes of this process in memory.
    private static func residentBytes() -> Int {
        guard let file = fopen("/proc/self/statm", "r") else { return 0 }
        defer { fclose(file) }
        var text = [CChar](repeating: 0, count: 128)
        guard fgets(&text, 128, file) != nil else { return 0 }
        let words = String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self).split(separator: " ")
        return words.count > 1 ? (Int(words[1]) ?? 0) * 4_096 : 0
    }
}
