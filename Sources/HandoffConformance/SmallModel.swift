import Model

/// A Llama of some kilobytes with weights from a seed, in the bytes of a GGUF file. Its numbers mean nothing and are the same everywhere.
struct SmallModel: Sendable {
    var name: String
    var layers: Int
    var hidden: Int
    var heads: Int
    var kvHeads: Int
    var headDim: Int
    var vocabulary = 96

    /// Grouped, one KV head for all, one for each; head sizes that are no power of two.
    static let all = [
        SmallModel(name: "4 heads over 2 of 16", layers: 3, hidden: 64, heads: 4, kvHeads: 2, headDim: 16),
        SmallModel(name: "5 heads over 1 of 24", layers: 2, hidden: 96, heads: 5, kvHeads: 1, headDim: 24),
        SmallModel(name: "3 heads over 3 of 40", layers: 2, hidden: 32, heads: 3, kvHeads: 3, headDim: 40),
    ]

    /// Opens it.
    func file() throws(ModelError) -> ModelFile { try ModelFile(file: GGUFFile(bytes: bytes, name: "\(name).gguf")) }

    private var tensors: [(name: String, dims: [Int], scale: Float)] {
        let (q, kv, inner) = (heads * headDim, kvHeads * headDim, hidden * 2)
        var all: [(String, [Int], Float)] = [("token_embd.weight", [hidden, vocabulary], 1)]
        for layer in 0..<layers {
            all.append(("blk.\(layer).attn_norm.weight", [hidden], 0))
            for (name, from, to) in [
                ("attn_q", hidden, q), ("attn_k", hidden, kv), ("attn_v", hidden, kv), ("attn_output", q, hidden), ("ffn_gate", hidden, inner),
                ("ffn_up", hidden, inner), ("ffn_down", inner, hidden),
            ] { all.append(("blk.\(layer).\(name).weight", [from, to], 1.7 / Float(from).squareRoot())) }
            all.append(("blk.\(layer).ffn_norm.weight", [hidden], 0))
        }
        return all + [("output_norm.weight", [hidden], 0)]
    }

    /// The file: head, descriptions, data at multiples of 32 bytes.
    private var bytes: [UInt8] {
        var writer = GGUFBytes()
        writer.text("general.architecture", "llama")
        writer.text("general.name", name)
        for (key, value) in [
            ("block_count", layers), ("context_length", 256), ("embedding_length", hidden), ("feed_forward_length", hidden * 2), ("attention.head_count", heads),
            ("attention.head_count_kv", kvHeads), ("attention.key_length", headDim), ("attention.value_length", headDim), ("rope.dimension_count", headDim),
        ] { writer.number("llama.\(key)", UInt32(value)) }
        writer.number("llama.rope.freq_base", Float(10_000))
        writer.number("llama.attention.layer_norm_rms_epsilon", Float(1e-5))
        var random = Numbers(seed: UInt64(hidden * 131 + heads))
        for tensor in tensors {
            let values = (0..<tensor.dims.reduce(1, *)).map { _ in tensor.scale == 0 ? 1 + random.unit() / 4 : random.unit() * tensor.scale }
            writer.tensor(tensor.name, tensor.dims, values)
        }
        return writer.bytes
    }
}

/// A GGUF file of version 3 in the making; tensors are f32.
private struct GGUFBytes {
    private var keys: [UInt8] = []
    private var keyCount: UInt64 = 0
    private var infos: [UInt8] = []
    private var tensorCount: UInt64 = 0
    private var data: [UInt8] = []

    mutating func text(_ key: String, _ value: String) { add(key, 8, Self.string(value)) }
    mutating func number(_ key: String, _ value: UInt32) { add(key, 4, Self.little(value)) }
    mutating func number(_ key: String, _ value: Float) { add(key, 6, Self.little(value.bitPattern)) }

    private mutating func add(_ key: String, _ type: UInt32, _ value: [UInt8]) {
        keys += Self.string(key) + Self.little(type) + value
        keyCount += 1
    }

    mutating func tensor(_ name: String, _ dims: [Int], _ values: [Float]) {
        infos += Self.string(name) + Self.little(UInt32(dims.count)) + dims.flatMap { Self.little(UInt64($0)) } + Self.little(UInt32(0))
        infos += Self.little(UInt64(data.count))
        data += values.flatMap { Self.little($0.bitPattern) }
        data += [UInt8](repeating: 0, count: Self.gap(data.count))
        tensorCount += 1
    }

    var bytes: [UInt8] {
        let head = Array("GGUF".utf8) + Self.little(UInt32(3)) + Self.little(tensorCount) + Self.little(keyCount) + keys + infos
        return head + [UInt8](repeating: 0, count: Self.gap(head.count)) + data
    }

    private static func gap(_ count: Int) -> Int { (32 - count % 32) % 32 }
    private static func string(_ text: String) -> [UInt8] { little(UInt64(text.utf8.count)) + Array(text.utf8) }
    private static func little<T: FixedWidthInteger>(_ value: T) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }
}

/// Numbers from a seed, the same on every machine.
struct Numbers {
    private var state: UInt64
    init(seed: UInt64) { state = seed &* 2_862_933_555_777_941_757 &+ 3_037_000_493 }

    private mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state >> 33
    }

    mutating func below(_ count: Int) -> Int { Int(next() % UInt64(max(count, 1))) }
    /// In -1 ..< 1.
    mutating func unit() -> Float { Float(next() & 0xFF_FFFF) / Float(1 << 23) - 1 }
}
