import CDriver

/// Operations over shapes and values drawn from the suite's seed.
extension Checks {
    /// What trials came to.
    struct Trials {
        var worst: Float = 0
        var count = 0
        var seed: UInt64
        /// "8 drawn shapes, seed 1".
        var text: String { "\(count) drawn shapes, seed \(seed)" }
    }

    /// Makes `count` trials of a rule, each of which gives its largest difference. What breaks says from which seed it came.
    static func trials(_ bench: Bench, _ rule: UInt64, _ count: Int = 8, _ trial: (inout Draw) throws -> Float) throws -> Trials {
        var draw = Draw(bench, rule)
        var trials = Trials(seed: draw.seed)
        do {
            for _ in 0..<count { trials.worst = max(trials.worst, try trial(&draw)) }
        } catch let broken as Broken { throw Broken("\(broken.description) (drawn, seed \(draw.seed))") }
        trials.count = count
        return trials
    }

    /// How a drawn stage is fed, and how its results are held.
    struct Feeding {
        var tolerance: Float
        /// Of inputs: the largest value, and values that stand in some places.
        var spread: Float = 1
        var edges: [Float] = []
        var vocabulary = 1
        var position = 0
        var selects = false
        /// By how much a sum of products is larger than the input, as sizes go: where results happen to cancel out, their errors do not.
        var gain: Float = 0
    }

    /// Runs a drawn stage, compiled for some tokens more than it is given, and holds it to the reference; gives the largest difference.
    static func hold(_ bench: Bench, _ stage: Stage, _ feeding: Feeding, _ draw: inout Draw, name: String) throws -> Float {
        var stage = stage
        let count = draw.tokens()
        let feed = Feed(draw.pieces(count, vocabulary: feeding.vocabulary, position: feeding.position), rows: feeding.selects ? draw.rows(of: count) : nil)
        stage.maxTokens = min(count + draw.random.below(20), Int(bench.info.max_batch_tokens))
        stage.maxSequences = min(stage.maxSequences, Int(bench.info.max_batch_sequences))
        stage.maxContext = feeding.position + count
        var inputs: [Int: [Float]] = [:]
        for tensor in stage.inputs { inputs[tensor] = draw.values(count * stage.tensors[tensor].columns, feeding.spread, edges: feeding.edges) }
        var reference = Reference()
        let wanted = reference.run(stage, feed, inputs: inputs)[stage.outputs[0]] ?? []
        let found = try Job(bench, stage).output(feed, inputs)
        let least = feeding.gain * rootMeanSquare(inputs.values.first ?? [])
        try Closeness.hold("\(name), \(count) tokens of \(feed.pieces.count) sequences", found, to: wanted, feeding.tolerance, least: least)
        return Closeness.difference(found, wanted, least: least)
    }

    static func rootMeanSquare(_ values: [Float]) -> Float {
        values.isEmpty ? 0 : (values.reduce(0) { $0 + $1 * $1 } / Float(values.count)).squareRoot()
    }

    /// For weights that the device may keep in another dtype than they are given in.
    static func tolerance(_ bench: Bench, weight dtype: UInt32) -> Float {
        bench.info.resident_dtype == 0 || dtype == bench.info.resident_dtype ? Closeness.exact : Closeness.linear(bench)
    }

    static func drawnEmbed(_ bench: Bench, _ dtype: UInt32, _ draw: inout Draw) throws -> Float {
        let (rows, columns) = (draw.count(300), draw.columns(dtype))
        var stage = Stage()
        let table = stage.weight("embed", [rows, columns], draw.weights(rows * columns), dtype)
        stage.make(.embed, [table], Stage.tokens, columns, output: true)
        let feeding = Feeding(tolerance: tolerance(bench, weight: dtype), vocabulary: rows)
        return try hold(bench, stage, feeding, &draw, name: "embed of \(rows) rows of \(columns) in \(Encoding.name(dtype))")
    }

    static func drawnNorm(_ bench: Bench, _ edges: [Float], _ draw: inout Draw) throws -> Float {
        let (columns, dtype) = (draw.count(300), draw.plain())
        let (epsilon, spread) = (draw.between(1e-6, 0.1), draw.between(1e-3, 30))
        var stage = Stage()
        let x = stage.input(Stage.tokens, columns)
        let weight = stage.weight("norm", [columns], draw.random.units(columns).map { $0 + 1.5 }, dtype)
        stage.make(.rmsNorm, [x, weight], Stage.tokens, columns, output: true) { $0.epsilon = epsilon }
        let feeding = Feeding(tolerance: dtype == 1 ? Closeness.exact : tolerance(bench, weight: dtype), spread: spread, edges: draw.isOne(in: 2) ? edges : [])
        return try hold(bench, stage, feeding, &draw, name: "rms_norm of \(columns) columns by \(Encoding.name(dtype)), epsilon \(epsilon)")
    }

    static func drawnLinear(_ bench: Bench, _ dtype: UInt32, _ draw: inout Draw) throws -> Float {
        let (inputs, outputs, biased) = (draw.columns(dtype), draw.count(150), draw.isOne(in: 2))
        var stage = Stage()
        let values = draw.weights(outputs * inputs)
        var sources = [stage.input(Stage.tokens, inputs), stage.weight("w", [outputs, inputs], values, dtype)]
        if biased { sources.append(stage.weight("b", [outputs], draw.random.units(outputs), draw.plain())) }
        stage.make(.linear, sources, Stage.tokens, outputs, output: true)
        let gain = rootMeanSquare(values) * Float(inputs).squareRoot()
        let name = "linear \(inputs) to \(outputs) by \(Encoding.name(dtype))\(biased ? " with bias" : "")"
        return try hold(bench, stage, Feeding(tolerance: Closeness.linear(bench), spread: draw.between(0.1, 10), gain: gain), &draw, name: name)
    }

    static func drawnRope(_ bench: Bench, _ draw: inout Draw) throws -> Float {
        let (heads, dim, style) = (draw.count(6), 1 + draw.count(96), Int32(1 + draw.random.below(2)))
        let dims = 2 * draw.count(dim / 2)
        let (base, scale) = (draw.between(2, 1e6), draw.between(0.25, 2))
        let stage = Stages.single(.rope, columns: [heads * dim], to: heads * dim) { op in
            op.heads = UInt32(heads)
            op.head_dim = UInt32(dim)
            op.rope_dims = UInt32(dims)
            op.rope_style = style
            op.rope_base = base
            op.rope_scale = scale
        }
        // Far positions have large angles, which f32 does not hold as well.
        let feeding = Feeding(tolerance: 1e-4, position: draw.pick([0, 0, 400]))
        return try hold(bench, stage, feeding, &draw, name: "rope of style \(style), \(heads) heads, \(dims) of \(dim) dims, base \(base), scale \(scale)")
    }

    /// A pointwise operation of one input or two, element by element over `edges` and by size over others.
    static func drawnPointwise(
        _ bench: Bench, _ kind: Stage.Operation, inputs: Int, _ edges: [Float], each: Float, spread: Float = 4, _ draw: inout Draw,
        _ change: (inout baton_op) -> Void = { _ in }
    ) throws -> Float {
        let columns = draw.count(300)
        let stage = Stages.single(kind, columns: [Int](repeating: columns, count: inputs), to: columns, change)
        try compareEach(bench, stage, edges, each, name: "\(kind) of edge values in \(columns) columns", count: draw.tokens(), &draw.random)
        return try hold(bench, stage, Feeding(tolerance: Closeness.exact, spread: spread), &draw, name: "\(kind) of \(columns) columns")
    }

    /// ADD or MUL of one row to all, or of a tensor with itself.
    static func drawnRow(_ bench: Bench, _ kind: Stage.Operation, _ draw: inout Draw) throws -> Float {
        let (columns, dtype) = (draw.count(300), draw.plain())
        var stage = Stage()
        let x = stage.input(Stage.tokens, columns)
        let other = draw.isOne(in: 4) ? x : stage.weight("row", [columns], draw.random.units(columns), dtype)
        stage.make(kind, [x, other], Stage.tokens, columns, output: true)
        let feeding = Feeding(tolerance: dtype == 1 ? Closeness.exact : tolerance(bench, weight: dtype), spread: draw.between(0.1, 100))
        return try hold(bench, stage, feeding, &draw, name: other == x ? "\(kind) of \(columns) columns with themselves" : "\(kind) of a row of \(columns) in \(Encoding.name(dtype))")
    }

    static func drawnSelection(_ bench: Bench, _ draw: inout Draw) throws -> Float {
        let columns = draw.count(300)
        var stage = Stage()
        stage.make(.selectRows, [stage.input(Stage.tokens, columns)], Stage.rows, columns, output: true)
        return try hold(bench, stage, Feeding(tolerance: 0, selects: true), &draw, name: "select_rows of \(columns) columns")
    }
}
