import CDriver

/// A stage compiled on a bench, with buffers for its inputs and outputs, and a KV pool where it attends. Released when it goes.
final class Job: @unchecked Sendable {
    let bench: Bench
    let stage: Stage
    let program: OpaquePointer
    private(set) var pool: OpaquePointer?
    let poolDesc: baton_kv_pool_desc
    private var buffers: [Int: OpaquePointer] = [:]
    private let weights: OpaquePointer?
    private var owned = true
    /// Floats a bound buffer has room for, for each column.
    static let room = 256

    var blockTokens: Int { Int(poolDesc.block_tokens) }

    init(_ bench: Bench, _ stage: Stage, blocks: Int = 16, padding: Int = 0, kv: UInt32? = nil) throws {
        self.bench = bench
        self.stage = stage
        weights = try Self.weights(bench, stage)
        program = try Self.compile(bench, stage, weights, padding)
        poolDesc = Self.poolDesc(bench, stage, blocks: blocks, dtype: kv)
        if stage.hasAttention { pool = try bench.pool(poolDesc) }
        for tensor in stage.inputs + stage.outputs {
            buffers[tensor] = try bench.allocate(UInt64(max(Self.room, stage.maxTokens) * stage.tensors[tensor].columns * 4))
        }
    }

    /// Another job's program over `pool`; owns nothing.
    fileprivate init(_ bench: Bench, borrowing job: Job, _ pool: OpaquePointer) {
        self.bench = bench
        stage = job.stage
        program = job.program
        poolDesc = job.poolDesc
        weights = nil
        self.pool = pool
        owned = false
    }

    /// A job to look into `pool` with, which belongs to the caller; the program is this job's.
    func over(_ pool: OpaquePointer) -> Job { Job(bench, borrowing: self, pool) }

    static func poolDesc(_ bench: Bench, _ stage: Stage, blocks: Int, dtype: UInt32? = nil) -> baton_kv_pool_desc {
        var desc = baton_kv_pool_desc.sized()
        desc.dtype = dtype ?? (bench.info.kv_dtype == 0 ? 1 : bench.info.kv_dtype)
        desc.block_count = UInt32(blocks)
        desc.block_tokens = max(1, bench.info.kv_block_tokens)
        desc.layers = UInt32(stage.layers)
        desc.kv_heads = UInt32(stage.kvHeads)
        desc.head_dim = UInt32(stage.headDim)
        desc.rope_style = 1
        return desc
    }

    static func weights(_ bench: Bench, _ stage: Stage) throws -> OpaquePointer? {
        guard stage.weightBytes > 0 else { return nil }
        let buffer = try bench.allocate(stage.weightBytes)
        for tensor in stage.tensors where tensor.role == 1 { try bench.write(buffer, tensor.bytes, at: tensor.offset) }
        return buffer
    }

    static func compile(_ bench: Bench, _ stage: Stage, _ weights: OpaquePointer?, _ padding: Int = 0) throws -> OpaquePointer {
        let compile = try slot(bench.subject.program.compile, "program.compile")
        var out: OpaquePointer?
        try call("compile of \(stage.ops.count) operations") { status in
            stage.lend(weights: weights, padding: padding) { compile(bench.device, $0, &out, status) }
        }
        guard let out else { throw Broken("compile said OK and gave no program") }
        return out
    }

    func bindings(offset: UInt64 = 0) -> [baton_binding] {
        (stage.inputs + stage.outputs).map { tensor in
            var binding = baton_binding.sized()
            binding.tensor = UInt32(tensor)
            binding.buffer = buffers[tensor]
            binding.offset = offset
            return binding
        }
    }

    /// The buffer an input or output lies in.
    func buffer(_ tensor: Int) throws -> OpaquePointer {
        guard let buffer = buffers[tensor] else { throw Broken("tensor \(tensor) is not bound") }
        return buffer
    }

    func set(_ inputs: [Int: [Float]]) throws {
        for (tensor, values) in inputs { try bench.write(try buffer(tensor), floats: values) }
    }

    /// Submits; `offset` is where outputs go in their buffers.
    func submit(_ feed: Feed, _ order: Order, offset: UInt64 = 0, padding: Int = 0) throws -> Answer {
        let submit = try slot(bench.subject.program.submit, "program.submit")
        return ask { status in
            order.lend { sync in
                feed.lend(pool: pool, bindings(offset: offset), padding: padding) { submit(bench.device, program, $0, sync, status) }
            }
        }
    }

    /// Runs one batch and waits for it; gives the values of each output.
    func run(_ feed: Feed, _ inputs: [Int: [Float]] = [:], padding: Int = 0) throws -> [Int: [Float]] {
        try set(inputs)
        let done = try bench.timeline()
        defer { bench.release(timeline: done) }
        let answer = try submit(feed, Order(signal: done), padding: padding)
        try require(answer.isOK, "submit of \(feed.tokens.count) tokens gave \(answer.text)")
        try bench.finish(done)
        return try results(feed)
    }

    func results(_ feed: Feed, offset: UInt64 = 0) throws -> [Int: [Float]] {
        var all: [Int: [Float]] = [:]
        for tensor in stage.outputs {
            let rows = stage.tensors[tensor].dims[0] == Stage.rows ? feed.rows.count : feed.tokens.count
            all[tensor] = try bench.floats(try buffer(tensor), rows * stage.tensors[tensor].columns, at: offset)
        }
        return all
    }

    /// The stage's one output.
    func output(_ feed: Feed, _ inputs: [Int: [Float]] = [:], padding: Int = 0) throws -> [Float] {
        try run(feed, inputs, padding: padding)[stage.outputs[0]] ?? []
    }

    /// Leaves everything to the device's close.
    func abandon() { owned = false }

    deinit {
        guard owned else { return }
        bench.subject.program.release?(bench.device, program)
        bench.subject.kv?.release?(bench.device, pool)
        for buffer in buffers.values { bench.release(buffer) }
        bench.release(weights)
    }
}

extension Bench {
    func pool(_ desc: baton_kv_pool_desc) throws -> OpaquePointer {
        let create = try slot(try subject.kvTable().create, "kv.create")
        var desc = desc
        var out: OpaquePointer?
        try call("kv create of \(desc.block_count) blocks") { create(device, &desc, &out, $0) }
        guard let out else { throw Broken("kv create said OK and gave no pool") }
        return out
    }
}
