import CDriver

/// Attention over drawn heads, windows, caps and KV dtypes, as some sequences of drawn lengths go on from batch to batch.
struct AttentionTrial {
    private let job: Job
    private let name: String
    private let tolerance: Float
    private let blocks: [[UInt32]]
    /// Tokens that each sequence has had.
    private var at: [Int]
    private let most: Int
    private var reference = Reference()

    init(_ bench: Bench, _ draw: inout Draw) throws {
        let kvHeads = draw.count(4)
        let heads = kvHeads * draw.count(4)
        let dim = draw.count(min(96, 384 / heads))
        let (window, cap) = (draw.isOne(in: 2) ? 0 : draw.count(40), draw.isOne(in: 2) ? 0 : draw.between(0.5, 30))
        let scale = draw.between(0.25, 1.25) / Float(dim).squareRoot()
        let stage = Stages.attention((heads, kvHeads, dim)) { op in
            op.window = UInt32(window)
            op.cap = cap
            op.scale = scale
        }
        let dtype = draw.kv()
        job = try Job(bench, stage, kv: dtype)
        name = "attention of \(heads) heads over \(kvHeads) of \(dim), window \(window), cap \(cap), scale \(scale), KV in \(Encoding.name(dtype))"
        tolerance = Closeness.attention(bench, kv: dtype)
        let (sequences, order) = (min(3, Int(bench.info.max_batch_sequences)), draw.random.shuffled(16))
        blocks = (0..<sequences).map { Array(order[$0 * 5..<$0 * 5 + 5]) }
        at = [Int](repeating: 0, count: sequences)
        most = min(60, 5 * job.blockTokens)
    }

    /// Runs one batch of some of the sequences; gives the largest difference.
    mutating func step(_ draw: inout Draw) throws -> Float {
        var pieces: [Feed.Piece] = []
        var names: [Int] = []
        for sequence in at.indices where at[sequence] < most && !draw.isOne(in: 3) {
            let count = draw.count(min(most - at[sequence], 20))
            pieces.append(Feed.Piece(tokens: [UInt32](repeating: 0, count: count), position: at[sequence], blocks: blocks[sequence]))
            names.append(sequence)
            at[sequence] += count
        }
        guard !pieces.isEmpty else { return 0 }
        let feed = Feed(pieces)
        var inputs: [Int: [Float]] = [:]
        for tensor in job.stage.inputs { inputs[tensor] = draw.random.units(feed.tokens.count * job.stage.tensors[tensor].columns, scale: 2) }
        let wanted = reference.run(job.stage, feed, inputs: inputs, names: names)[job.stage.outputs[0]] ?? []
        let found = try job.output(feed, inputs)
        try Closeness.hold("\(name), \(pieces.map(\.tokens.count)) tokens from \(pieces.map(\.position))", found, to: wanted, tolerance)
        return Closeness.difference(found, wanted)
    }
}
