import CDriver

/// Every operation over fixed and drawn shapes and edge values, against the plain reference.
extension Checks {
    static let edges: [Float] = [0, -0, 1e-30, -1e-30, 1, -1, 60, -60, 1e4, -1e4, 0.5, 3.14159]
    /// Edges with what is no number, what is infinite, and the largest there is.
    private static let extremes: [Float] = edges + [.nan, .infinity, .greatestFiniteMagnitude, 1e-20, .nan, 1]

    /// Holds every element by itself to the reference: `values` in each place of the first input, beside a shuffle of them in the second.
    private static func compareEach(_ bench: Bench, _ stage: Stage, _ values: [Float], _ tolerance: Float, name: String) throws {
        guard 3 <= Int(bench.info.max_batch_tokens) else { return }
        var random = Random(UInt64(name.utf8.count))
        try compareEach(bench, stage, values, tolerance, name: name, count: 3, &random)
    }

    static func compareEach(
        _ bench: Bench, _ stage: Stage, _ values: [Float], _ tolerance: Float, name: String, count: Int, _ random: inout Random
    ) throws {
        var stage = stage
        stage.maxTokens = max(stage.maxTokens, count)
        stage.maxContext = max(stage.maxContext, count)
        let job = try Job(bench, stage)
        var inputs: [Int: [Float]] = [:]
        for (place, tensor) in stage.inputs.enumerated() {
            let order = place == 0 ? values.indices.map(UInt32.init) : random.shuffled(values.count)
            inputs[tensor] = (0..<count * stage.tensors[tensor].columns).map { values[Int(order[$0 % values.count])] }
        }
        var reference = Reference()
        let feed = Feed(plain: count)
        let wanted = reference.run(stage, feed, inputs: inputs)[stage.outputs[0]] ?? []
        try Closeness.holdEach(name, try job.output(feed, inputs), to: wanted, tolerance)
    }

    /// Runs a stage on random inputs of several token counts and holds it to the reference.
    @discardableResult
    private static func compare(
        _ bench: Bench, _ stage: Stage, _ tolerance: Float, counts: [Int] = [1, 2, 7, 33], rows: (Int) -> [UInt32]? = { _ in nil },
        tokens: Int = 1, scale: Float = 1, name: String
    ) throws -> Float {
        let job = try Job(bench, stage)
        var random = Random(UInt64(stage.tensors.count * 31 + name.utf8.count))
        var worst: Float = 0
        for count in counts where count <= Int(bench.info.max_batch_tokens) {
            var inputs: [Int: [Float]] = [:]
            for tensor in stage.inputs {
                let columns = stage.tensors[tensor].columns
                inputs[tensor] = random.units(count * columns, scale: scale)
            }
            let feed = Feed([.init(tokens: random.indices(count, below: tokens))], rows: rows(count))
            var reference = Reference()
            let wanted = reference.run(stage, feed, inputs: inputs)[stage.outputs[0]] ?? []
            let found = try job.output(feed, inputs)
            try Closeness.hold("\(name), \(count) tokens", found, to: wanted, tolerance)
            worst = max(worst, Closeness.difference(found, wanted))
        }
        return worst
    }

    private static func text(_ worst: Float, _ trials: Trials, _ tolerance: Float) -> Note {
        Note("largest difference \(max(worst, trials.worst)) of \(tolerance); \(trials.text)")
    }

    /// Weights that the device takes and this suite can write.
    private static func weightTypes(_ bench: Bench) -> [UInt32] { Encoding.known.filter { bench.info.weight_dtypes & (1 << UInt64($0)) != 0 } }

    /// D35
    static func embed(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        var worst: Float = 0
        var random = Random(35)
        for dtype in weightTypes(bench) {
            var stage = Stage()
            let weight = stage.weight("embed", [Stages.vocabulary, 64], random.units(Stages.vocabulary * 64), dtype)
            stage.make(.embed, [weight], Stage.tokens, 64, output: true)
            worst = max(worst, try compare(bench, stage, tolerance(bench, weight: dtype), tokens: Stages.vocabulary, name: "embed of \(Encoding.name(dtype))"))
        }
        let types = weightTypes(bench)
        let trials = try trials(bench, 35, 2 * types.count) { try drawnEmbed(bench, $0.pick(types), &$0) }
        return Note("weights \(types.map(Encoding.name).joined(separator: " ")); largest difference \(max(worst, trials.worst)); \(trials.text)")
    }

    /// D36
    static func rmsNorm(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        var worst: Float = 0
        var random = Random(36)
        for (columns, epsilon, scale) in [(32, Float(1e-5), Float(1)), (48, 1e-6, 0.001), (96, 0.1, 1)] {
            var stage = Stage()
            let x = stage.input(Stage.tokens, columns)
            let weight = stage.weight("norm", [columns], random.units(columns).map { $0 + 1.5 })
            stage.make(.rmsNorm, [x, weight], Stage.tokens, columns, output: true) { $0.epsilon = epsilon }
            worst = max(worst, try compare(bench, stage, Closeness.exact, scale: scale, name: "rms_norm of \(columns) columns, epsilon \(epsilon)"))
        }
        return text(worst, try trials(bench, 36) { try drawnNorm(bench, edges, &$0) }, Closeness.exact)
    }

    /// D37
    static func linear(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        var worst: Float = 0
        var random = Random(37)
        let tolerance = Closeness.linear(bench)
        for dtype in weightTypes(bench) {
            for (inputs, outputs, bias) in [(64, 48, false), (96, 33, true), (32, 1, false)] {
                var stage = Stage()
                let x = stage.input(Stage.tokens, inputs)
                var sources = [x, stage.weight("w", [outputs, inputs], random.units(outputs * inputs), dtype)]
                if bias { sources.append(stage.weight("b", [outputs], random.units(outputs, scale: 8))) }
                stage.make(.linear, sources, Stage.tokens, outputs, output: true)
                let name = "linear \(inputs) to \(outputs) by \(Encoding.name(dtype))\(bias ? " with bias" : "")"
                worst = max(worst, try compare(bench, stage, outputs == 1 ? tolerance * 3 : tolerance, name: name))
            }
        }
        try rowsAreApart(bench)
        let types = weightTypes(bench)
        let trials = try trials(bench, 37, 2 * types.count) { try drawnLinear(bench, $0.pick(types), &$0) }
        return Note("weights \(types.map(Encoding.name).joined(separator: " ")); \(text(worst, trials, tolerance).words)")
    }

    /// What is no number in one row stays in it.
    private static func rowsAreApart(_ bench: Bench) throws {
        var stage = Stage()
        var random = Random(370)
        let x = stage.input(Stage.tokens, 64)
        stage.make(.linear, [x, stage.weight("w", [40, 64], random.units(40 * 64))], Stage.tokens, 40, output: true)
        let job = try Job(bench, stage)
        var values = random.units(3 * 64)
        let clean = try job.output(Feed(plain: 3), [x: values])
        values[64 + 9] = .nan
        let found = try job.output(Feed(plain: 3), [x: values])
        for row in [0, 2] {
            try Closeness.hold("row \(row) of three, where row 1 has a NaN", Array(found[row * 40..<(row + 1) * 40]), to: Array(clean[row * 40..<(row + 1) * 40]), 1e-5)
        }
    }

    /// D38
    static func rope(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        var worst: Float = 0
        for (style, heads, dims, base, factor) in [(Int32(1), 3, 16, Float(10_000), Float(1)), (2, 2, 16, 10_000, 1), (1, 2, 8, 500_000, 0.5), (2, 1, 8, 100, 1)] {
            let stage = Stages.single(.rope, columns: [heads * 16], to: heads * 16) { op in
                op.heads = UInt32(heads)
                op.head_dim = 16
                op.rope_dims = UInt32(dims)
                op.rope_style = style
                op.rope_base = base
                op.rope_scale = factor
            }
            worst = max(worst, try compare(bench, stage, 1e-4, name: "rope of style \(style), \(dims) of 16 dims, base \(base), scale \(factor)"))
        }
        return text(worst, try trials(bench, 38) { try drawnRope(bench, &$0) }, 1e-4)
    }

    /// D39
    static func attention(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        let tolerance = Closeness.attention(bench)
        var worst: Float = 0
        let plain = (4, 2, 16)
        for (name, shape, window, cap, scale) in [
            ("attention", plain, UInt32(0), Float(0), Float(0.25)), ("attention in a window of 5", plain, 5, 0, 0.25), ("attention capped at 2", plain, 0, 2, 1),
            ("attention of 6 heads over 3 of 24", (6, 3, 24), 0, 0, 0.2), ("attention of 5 heads over 1 of 40", (5, 1, 40), 7, 0, 0.15),
            ("attention of 3 heads over 3 of 8", (3, 3, 8), 0, 5, 0.5),
        ] {
            let stage = Stages.attention(shape) { $0.window = window; $0.cap = cap; $0.scale = scale }
            let job = try Job(bench, stage)
            var reference = Reference()
            var random = Random(39)
            let tables: [[UInt32]] = [[3, 9], [7, 1]]
            var at = [0, 0]
            for counts in [[20, 3], [1, 5], [1, 1]] {
                let feed = Feed(counts.enumerated().map { Feed.Piece(tokens: [UInt32](repeating: 0, count: $1), position: at[$0], blocks: tables[$0]) })
                for sequence in 0..<2 { at[sequence] += counts[sequence] }
                let inputs = Dictionary(uniqueKeysWithValues: stage.inputs.map { ($0, random.units(feed.tokens.count * stage.tensors[$0].columns, scale: 2)) })
                let wanted = reference.run(stage, feed, inputs: inputs)[stage.outputs[0]] ?? []
                let found = try job.output(feed, inputs)
                try Closeness.hold("\(name), \(counts) tokens of two sequences", found, to: wanted, tolerance)
                worst = max(worst, Closeness.difference(found, wanted))
            }
        }
        let trials = try trials(bench, 39) { draw in
            var trial = try AttentionTrial(bench, &draw)
            return try (0..<4).reduce(0) { worst, _ in max(worst, try trial.step(&draw)) }
        }
        return text(worst, trials, tolerance)
    }

    /// D40
    static func swiglu(_ subject: Subject) throws -> Note {
        let stage = Stages.single(.swiglu, columns: [48, 48], to: 48)
        let bench = try Bench(subject)
        let edges = edges.map { $0 == -60 ? -9 : max($0, -20) } + [.nan]
        try compareEach(bench, stage, edges, 1e-4, name: "swiglu of edge values")
        let worst = try compare(bench, stage, Closeness.exact, scale: 4, name: "swiglu")
        return text(worst, try trials(bench, 40) { try drawnPointwise(bench, .swiglu, inputs: 2, edges, each: 1e-4, &$0) }, Closeness.exact)
    }

    /// D41
    static func add(_ subject: Subject) throws -> Note { try pairwise(subject, .add) }

    /// D42
    static func mul(_ subject: Subject) throws -> Note { try pairwise(subject, .mul) }

    private static func pairwise(_ subject: Subject, _ kind: Stage.Operation) throws -> Note {
        let bench = try Bench(subject)
        try compareEach(bench, Stages.single(kind, columns: [40, 40], to: 40), extremes, Closeness.exact, name: "\(kind) of edge values")
        var worst = try compare(bench, Stages.single(kind, columns: [40, 40], to: 40), Closeness.exact, name: "\(kind)")
        var stage = Stage()
        var random = Random(41)
        let x = stage.input(Stage.tokens, 40)
        stage.make(kind, [x, stage.weight("row", [40], random.units(40))], Stage.tokens, 40, output: true)
        worst = max(worst, try compare(bench, stage, Closeness.exact, name: "\(kind) of one row to all"))
        let trials = try trials(bench, kind == .add ? 41 : 42) { draw in
            guard draw.isOne(in: 2) else { return try drawnRow(bench, kind, &draw) }
            return try drawnPointwise(bench, kind, inputs: 2, extremes, each: Closeness.exact, &draw)
        }
        return text(worst, trials, Closeness.exact)
    }

    /// D43
    static func scale(_ subject: Subject) throws -> Note {
        let stage = Stages.single(.scale, columns: [40], to: 40) { $0.scale = -1.75 }
        let bench = try Bench(subject)
        try compareEach(bench, stage, extremes, Closeness.exact, name: "scale of edge values")
        let worst = try compare(bench, stage, Closeness.exact, name: "scale by -1.75")
        let trials = try trials(bench, 43) { draw in
            let scale = draw.between(1e-3, 1e3) * (draw.isOne(in: 2) ? 1 : -1)
            return try drawnPointwise(bench, .scale, inputs: 1, extremes, each: Closeness.exact, &draw) { $0.scale = scale }
        }
        return text(worst, trials, Closeness.exact)
    }

    /// D44
    static func softcap(_ subject: Subject) throws -> Note {
        let stage = Stages.single(.softcap, columns: [40], to: 40) { $0.cap = 7 }
        let bench = try Bench(subject)
        try compareEach(bench, stage, extremes, 1e-4, name: "softcap of edge values")
        let worst = try compare(bench, stage, Closeness.exact, scale: 30, name: "softcap at 7")
        let trials = try trials(bench, 44) { draw in
            let cap = draw.between(0.25, 60)
            return try drawnPointwise(bench, .softcap, inputs: 1, extremes, each: 1e-4, spread: cap * 4, &draw) { $0.cap = cap }
        }
        return text(worst, trials, Closeness.exact)
    }

    /// D45
    static func selectRows(_ subject: Subject) throws -> Note {
        var stage = Stage()
        let x = stage.input(Stage.tokens, 24)
        stage.make(.selectRows, [x], Stage.rows, 24, output: true)
        let picks: (Int) -> [UInt32]? = { count in (0..<max(1, count / 2)).map { UInt32(($0 * 5 + 1) % count) } }
        let bench = try Bench(subject)
        let worst = try compare(bench, stage, 0, rows: picks, name: "select_rows")
        return text(worst, try trials(bench, 45) { try drawnSelection(bench, &$0) }, 0)
    }
}
