import CDriver

/// The layouts that a job's pool is exported or imported in, and moving ranges in them.
struct Layouts {
    let job: Job
    let all: [baton_kv_layout]

    init(_ job: Job, importing: Bool) throws {
        self.job = job
        let list = try slot(try job.bench.subject.kvTable().layouts, "kv.layouts")
        var desc = job.poolDesc
        var found = [baton_kv_layout](repeating: .sized(), count: 64)
        var count: UInt32 = 0
        try call("kv layouts") { status in
            job.bench.subject.withOptions { list($0, &desc, importing ? 1 : 0, &found, 64, &count, status) }
        }
        all = Array(found.prefix(Int(min(count, 64))))
        try require(!all.isEmpty, "a pool in \(Encoding.name(desc.dtype)) has no layout to \(importing ? "import" : "export")")
    }

    static func axes(_ layout: baton_kv_layout) -> [UInt8] { withUnsafeBytes(of: layout.axes) { Array($0.prefix(6)) } }

    static func text(_ layout: baton_kv_layout) -> String {
        let names = ["", "layer", "block", "plane", "head", "token", "dim"]
        return "\(Encoding.name(layout.dtype))[\(axes(layout).map { names.indices.contains(Int($0)) ? names[Int($0)] : "?" }.joined(separator: ","))]"
    }

    static func bytes(_ layout: baton_kv_layout, layers: Int, blocks: Int) -> Int {
        layers * blocks * 2 * Int(layout.kv_heads) * Int(layout.block_tokens) * Int(layout.head_dim) * Encoding.width(layout.dtype)
    }

    /// The index of an element in an array of a layout.
    static func index(_ layout: baton_kv_layout, layers: Int, blocks: Int, _ at: [UInt8: Int]) -> Int {
        let extents: [UInt8: Int] = [1: layers, 2: blocks, 3: 2, 4: Int(layout.kv_heads), 5: Int(layout.block_tokens), 6: Int(layout.head_dim)]
        return axes(layout).reduce(0) { $0 * (extents[$1] ?? 1) + (at[$1] ?? 0) }
    }

    private func range<R>(_ layers: Range<Int>, _ blocks: [UInt32], _ tokens: Int, _ body: (UnsafePointer<baton_kv_range>) -> R) -> R {
        blocks.withUnsafeBufferPointer { blocks in
            var range = baton_kv_range.sized()
            range.first_layer = UInt32(layers.lowerBound)
            range.layer_count = UInt32(layers.count)
            range.block_count = UInt32(blocks.count)
            range.blocks = blocks.baseAddress
            range.token_count = UInt32(tokens)
            return body(&range)
        }
    }

    private static func name(_ place: UnsafeMutableRawBufferPointer) -> baton_memory {
        var memory = baton_memory.sized()
        memory.kind = baton_memory_kind(BATON_MEMORY_HOST)
        memory.address = UInt64(UInt(bitPattern: place.baseAddress))
        memory.descriptor = -1
        memory.length = UInt64(place.count)
        return memory
    }

    /// Queues an export or import and gives its answer; with `wait` the work's own when it was taken.
    func move(
        _ exporting: Bool, _ layout: baton_kv_layout, layers: Range<Int>, blocks: [UInt32], tokens: Int, _ bytes: inout [UInt8], queue: UInt32
    ) throws -> Answer {
        let bench = job.bench
        let table = try bench.subject.kvTable()
        let function = try exporting ? slot(table.export_range, "kv.export_range") : slot(table.import_range, "kv.import_range")
        let done = try bench.timeline()
        defer { bench.release(timeline: done) }
        var layout = layout
        return try bytes.withUnsafeMutableBytes { place in
            var memory = Self.name(place)
            let answer = ask { status in
                range(layers, blocks, tokens) { range in
                    Order(signal: done, 1, queue: queue).lend { function(bench.device, job.pool, range, &layout, &memory, $0, status) }
                }
            }
            return answer.isOK ? try bench.wait(done, 1).answer : answer
        }
    }

    /// The bytes of a range in one of the layouts, the first if none is given; memory begins as 0xAA.
    func export(_ layout: baton_kv_layout? = nil, layers: Range<Int>, blocks: [UInt32], tokens: Int, queue: UInt32 = 0) throws -> [UInt8] {
        let layout = layout ?? all[0]
        var bytes = [UInt8](repeating: 0xAA, count: Self.bytes(layout, layers: layers.count, blocks: blocks.count))
        let answer = try move(true, layout, layers: layers, blocks: blocks, tokens: tokens, &bytes, queue: queue)
        try require(answer.isOK, "export as \(Self.text(layout)) gave \(answer.text)")
        return bytes
    }

    func take(_ bytes: [UInt8], _ layout: baton_kv_layout, layers: Range<Int>, blocks: [UInt32], tokens: Int) throws {
        var bytes = bytes
        let answer = try move(false, layout, layers: layers, blocks: blocks, tokens: tokens, &bytes, queue: 0)
        try require(answer.isOK, "import as \(Self.text(layout)) gave \(answer.text)")
    }
}

extension Checks {
    /// How close a number is to itself after a dtype.
    private static func rounding(_ dtypes: UInt32...) -> Float { dtypes.contains(3) ? 1e-2 : dtypes.contains(2) ? 2e-3 : 1e-6 }

    /// A pool in each dtype the device holds.
    private static func kvTypes(_ bench: Bench) -> [UInt32] { [1, 2, 3].filter { bench.info.kv_dtypes & (1 << UInt64($0)) != 0 } }

    /// D58
    static func poolsBeginZero(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        let job = try Job(bench, Stages.attention())
        let bytes = try Layouts(job, importing: false).export(layers: 0..<1, blocks: [0, 7, 15], tokens: 3 * job.blockTokens)
        try require(bytes.allSatisfy { $0 == 0 }, "a new pool is not zero at byte \(bytes.firstIndex { $0 != 0 } ?? 0) of an export")
        return ""
    }

    /// D59
    static func layoutsAreStated(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        let list = try slot(try subject.kvTable().layouts, "kv.layouts")
        var told: [String] = []
        for importing in [false, true] {
            let job = try Job(bench, Stages.attention())
            let layouts = try Layouts(job, importing: importing)
            for layout in layouts.all {
                let axes = Layouts.axes(layout)
                try require(Set(axes) == Set(1...6), "a layout has the axes \(axes)")
                try require(layout.block_tokens > 0 && layout.kv_heads == 2 && layout.head_dim == 16, "a layout of 2 heads of 16 says \(layout.kv_heads) of \(layout.head_dim)")
                try require(Encoding.names[layout.dtype] != nil, "a layout has dtype \(layout.dtype)")
                try require((1...2).contains(layout.rope_style), "a layout has rope style \(layout.rope_style)")
            }
            var desc = job.poolDesc
            var count: UInt32 = 999
            try call("kv layouts with room for none") { status in subject.withOptions { list($0, &desc, importing ? 1 : 0, nil, 0, &count, status) } }
            try require(Int(count) == layouts.all.count, "with room for none there are \(count) layouts, with room for 64 there are \(layouts.all.count)")
            var room = [baton_kv_layout](repeating: .sized(), count: 2)
            room[1].reserved = 0xC3C3
            try call("kv layouts with room for one") { status in subject.withOptions { list($0, &desc, importing ? 1 : 0, &room, 1, &count, status) } }
            try require(room[1].reserved == 0xC3C3 && room[1].dtype == 0, "with room for one layout a second was written")
            try spreadLayouts(subject, &desc, importing, layouts.all)
            told = layouts.all.map(Layouts.text)
        }
        return Note(told.joined(separator: " "))
    }

    /// A later host's layouts are longer: the second lies where the first one's size says.
    private static func spreadLayouts(_ subject: Subject, _ desc: inout baton_kv_pool_desc, _ importing: Bool, _ all: [baton_kv_layout]) throws {
        guard all.count > 1 else { return }
        let list = try slot(try subject.kvTable().layouts, "kv.layouts")
        let stride = MemoryLayout<baton_kv_layout>.size + 24
        var room = [UInt32](repeating: 0, count: 2 * stride / 4)
        (room[0], room[stride / 4]) = (UInt32(stride), UInt32(stride))
        var count: UInt32 = 0
        let second = try room.withUnsafeMutableBytes { bytes in
            let out = bytes.baseAddress?.assumingMemoryBound(to: baton_kv_layout.self)
            try call("kv layouts with room for two longer ones") { status in subject.withOptions { list($0, &desc, importing ? 1 : 0, out, 2, &count, status) } }
            return bytes.loadUnaligned(fromByteOffset: stride, as: baton_kv_layout.self)
        }
        try require(
            second.dtype == all[1].dtype && Layouts.axes(second) == Layouts.axes(all[1]),
            "in an array of layouts of \(stride) bytes the second is not \(stride) bytes after the first")
    }

    /// D60
    static func exportsAreWhereTheySay(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        var seen = 0
        for dtype in kvTypes(bench) {
            let job = try Job(bench, Stages.attention(), kv: dtype)
            let tokens = min(job.blockTokens + 5, 60)
            let stage = job.stage
            var random = Random(60)
            let inputs = Dictionary(uniqueKeysWithValues: stage.inputs.map { ($0, random.units(tokens * stage.tensors[$0].columns)) })
            let blocks: [UInt32] = [11, 4]
            try fill(job, blocks, min(2 * job.blockTokens, 60))
            _ = try job.run(Feed([.init(tokens: [UInt32](repeating: 0, count: tokens), blocks: blocks)]), inputs)
            let planes = stage.inputs[1...].map { inputs[$0] ?? [] }
            for layout in try Layouts(job, importing: false).all where Int(layout.block_tokens) == job.blockTokens && layout.scale_mode == 0 && layout.rope_style == 1 {
                let found = Encoding.decode(try Layouts(job, importing: false).export(layout, layers: 0..<1, blocks: blocks, tokens: tokens), layout.dtype)
                try hold(layout, found, planes, tokens, rounding(dtype, layout.dtype))
                seen += 1
            }
        }
        return Note("\(seen) pairs of pool and layout")
    }

    /// Leaves the KV of a longer sequence in the blocks, which must not go out with a shorter one's.
    private static func fill(_ job: Job, _ blocks: [UInt32], _ tokens: Int) throws {
        let inputs = Dictionary(uniqueKeysWithValues: job.stage.inputs.map { ($0, [Float](repeating: 9, count: tokens * job.stage.tensors[$0].columns)) })
        _ = try job.run(Feed([.init(tokens: [UInt32](repeating: 0, count: tokens), blocks: blocks)]), inputs)
    }

    private static func hold(_ layout: baton_kv_layout, _ found: [Float], _ planes: [[Float]], _ tokens: Int, _ tolerance: Float) throws {
        let perBlock = Int(layout.block_tokens)
        for token in 0..<2 * perBlock {
            for (plane, head, dim) in [(0, 0, 0), (0, 1, 15), (1, 0, 7), (1, 1, 3)] {
                let at: [UInt8: Int] = [1: 0, 2: token / perBlock, 3: plane, 4: head, 5: token % perBlock, 6: dim]
                let value = found[Layouts.index(layout, layers: 1, blocks: 2, at)]
                let due = token < tokens ? planes[plane][token * 32 + head * 16 + dim] : 0
                try require(
                    abs(value - due) <= tolerance,
                    "\(Layouts.text(layout)): \(plane == 0 ? "K" : "V") of token \(token), head \(head), dim \(dim) is \(value) and should be \(due)\(token < tokens ? "" : ", past the tokens that count")")
            }
        }
    }

    /// D61
    static func whatComesBackWentOut(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        let model = Stages.model()
        var seen = 0
        for dtype in kvTypes(bench) {
            let job = try Job(bench, model, kv: dtype)
            var random = Random(61)
            let tokens = min(job.blockTokens + 3, 60)
            let prompt = random.indices(tokens, below: Stages.vocabulary)
            _ = try job.output(Feed([.init(tokens: prompt, blocks: [1, 2])]))
            let (exports, imports) = (try Layouts(job, importing: false), try Layouts(job, importing: true))
            let next = Feed([.init(tokens: [5], position: tokens, blocks: [1, 2, 15])])
            let wanted = try job.output(next)
            let plain = try exports.export(layers: 0..<2, blocks: [1, 2], tokens: tokens)
            for layout in imports.all {
                guard exports.all.contains(where: { same($0, layout) }) else { continue }
                let bytes = try exports.export(layout, layers: 0..<2, blocks: [1, 2], tokens: tokens)
                try imports.take(bytes, layout, layers: 0..<2, blocks: [9, 6], tokens: tokens)
                let back = try exports.export(layout, layers: 0..<2, blocks: [9, 6], tokens: tokens)
                try require(back == bytes, "\(Layouts.text(layout)): KV imported to other blocks is exported with other bytes")
                let found = try job.output(Feed([.init(tokens: [5], position: tokens, blocks: [9, 6, 14])]))
                try Closeness.hold("the token after KV that was moved as \(Layouts.text(layout))", found, to: wanted, rounding(dtype, layout.dtype) * 4)
                seen += 1
            }
            try require(try exports.export(layers: 0..<2, blocks: [1, 2], tokens: tokens) == plain, "imports to other blocks changed the first")
        }
        return Note("\(seen) pairs of pool and layout")
    }

    private static func same(_ a: baton_kv_layout, _ b: baton_kv_layout) -> Bool {
        a.dtype == b.dtype && Layouts.axes(a) == Layouts.axes(b) && a.block_tokens == b.block_tokens && a.scale_mode == b.scale_mode && a.rope_style == b.rope_style
    }

    /// D62
    static func adoptedPoolsAreTheSame(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        let table = try subject.kvTable()
        guard let share = table.share, let adopt = table.adopt else { return "share and adopt are not offered" }
        let job = try Job(bench, Stages.attention())
        var memory = baton_memory.sized()
        var layout = baton_kv_layout.sized()
        let shared = ask { share(bench.device, job.pool, baton_memory_kind(BATON_MEMORY_HOST), &memory, &layout, $0) }
        if shared.code == Code.unimplemented { return "share is not offered" }
        try require(shared.isOK, "share gave \(shared.text)")
        var desc = job.poolDesc
        var pool: OpaquePointer?
        let adopted = ask { adopt(bench.device, &desc, &memory, &layout, &pool, $0) }
        if adopted.code == Code.unimplemented { return "shared, but adopt is not offered" }
        guard adopted.isOK, let pool else { throw Broken("adopt of its own pool gave \(adopted.text)") }
        defer { table.release?(bench.device, pool) }
        var random = Random(62)
        let inputs = Dictionary(uniqueKeysWithValues: job.stage.inputs.map { ($0, random.units(5 * job.stage.tensors[$0].columns)) })
        _ = try job.run(Feed([.init(tokens: [0, 0, 0, 0, 0], blocks: [3])]), inputs)
        let layouts = try Layouts(job, importing: false)
        let own = try layouts.export(layers: 0..<1, blocks: [3], tokens: 5)
        let theirs = try Layouts(job.over(pool), importing: false).export(layers: 0..<1, blocks: [3], tokens: 5)
        try require(own == theirs && own.contains { $0 != 0 }, "what was written to a shared pool is not in the pool that adopted it")
        return ""
    }

    /// D63
    static func blocksAreCopied(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        guard let copy = try subject.kvTable().copy_blocks else { return "copy_blocks is not offered" }
        let job = try Job(bench, Stages.model())
        var random = Random(63)
        let tokens = 2 * job.blockTokens
        guard tokens <= job.stage.maxTokens else { return "blocks are as long as a batch" }
        _ = try job.output(Feed([.init(tokens: random.indices(tokens, below: Stages.vocabulary), blocks: [5, 0])]))
        let done = try bench.timeline()
        defer { bench.release(timeline: done) }
        let (from, to): ([UInt32], [UInt32]) = ([5, 0], [8, 13])
        let answer = ask { status in Order(signal: done).lend { copy(bench.device, job.pool, from, to, 2, $0, status) } }
        if answer.code == Code.unimplemented { return "copy_blocks is not offered" }
        try require(answer.isOK, "copy_blocks gave \(answer.text)")
        try bench.finish(done)
        let layouts = try Layouts(job, importing: false)
        let found = try layouts.export(layers: 0..<2, blocks: to, tokens: tokens)
        try require(found == (try layouts.export(layers: 0..<2, blocks: from, tokens: tokens)), "copied blocks differ from their sources")
        return ""
    }

    /// D64
    static func rangesHaveEnds(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        let job = try Job(bench, Stages.attention())
        for importing in [false, true] {
            let layouts = try Layouts(job, importing: importing)
            let layout = layouts.all[0]
            let whole = Layouts.bytes(layout, layers: 1, blocks: 2)
            var bytes = [UInt8](repeating: 0, count: whole)
            var short = [UInt8](repeating: 0, count: whole - 1)
            let name = importing ? "import" : "export"
            func hold(_ what: String, _ answer: Answer, _ code: baton_code) throws {
                try require(answer.code == code, "\(name) of \(what) gave \(answer.isOK ? "OK" : answer.text); \(Code.name(code)) was due")
            }
            try hold("two blocks with one byte too few", try layouts.move(!importing, layout, layers: 0..<1, blocks: [0, 1], tokens: 1, &short, queue: 0), Code.outOfRange)
            try hold("block 16 of 16", try layouts.move(!importing, layout, layers: 0..<1, blocks: [0, 16], tokens: 1, &bytes, queue: 0), Code.invalid)
            try hold("layer 1 of one", try layouts.move(!importing, layout, layers: 1..<2, blocks: [0, 1], tokens: 1, &bytes, queue: 0), Code.invalid)
        }
        return ""
    }

    /// D65
    static func poolsAreRefused(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        let create = try slot(try subject.kvTable().create, "kv.create")
        var stage = Stages.attention()
        stage.kvHeads = 8
        stage.headDim = 128
        func refuse(_ name: String, _ codes: [baton_code], _ change: (inout baton_kv_pool_desc) -> Void) throws {
            var desc = Job.poolDesc(bench, stage, blocks: 16)
            change(&desc)
            var out: OpaquePointer?
            try refused("kv create \(name)", codes) { create(bench.device, &desc, &out, $0) }
        }
        try refuse("of \(UInt32.max) blocks of 64 layers", [Code.exhausted]) { $0.block_count = .max; $0.layers = 64 }
        try refuse("of blocks of no tokens", [Code.invalid]) { $0.block_tokens = 0 }
        try refuse("in q4_0", [Code.invalid]) { $0.dtype = 16 }
        return ""
    }
}
