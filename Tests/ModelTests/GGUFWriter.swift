// SPDX-License-Identifier: Apache-2.0

@testable import Model

/// Writes small GGUF files in memory, sound or deliberately not.
struct GGUFWriter {
    enum Value {
        case uint8(UInt8), uint32(UInt32), int32(Int32), uint64(UInt64), float32(Float), float64(Double), bool(UInt8)
        case string(String), bytes([UInt8]), strings([String]), int32s([Int32]), floats([Float])
        /// Written as it is after the value's type number.
        case raw(type: UInt32, [UInt8])
    }

    struct Tensor {
        var name: String
        var dims: [UInt64]
        var type: UInt32
        /// Nil: where the one before ends.
        var offset: UInt64?
        var byteCount: Int
    }

    var magic = Array("GGUF".utf8)
    var version: UInt32 = 3
    var metadata: [(String, Value)] = []
    var tensors: [Tensor] = []
    var alignment = 32
    /// Written in place of the true counts.
    var tensorCount: UInt64?
    var keyCount: UInt64?

    mutating func set(_ key: String, _ value: Value) {
        metadata.removeAll { $0.0 == key }
        metadata.append((key, value))
    }

    mutating func add(_ name: String, _ dims: [UInt64], _ type: TensorType = .f32) {
        let elements = dims.reduce(1, *)
        let bytes = Int(elements) / type.blockElements * type.blockBytes
        tensors.append(Tensor(name: name, dims: dims, type: type.rawValue, offset: nil, byteCount: bytes))
    }

    /// Everything before the tensor data, without padding.
    var head: [UInt8] {
        var out = magic + le(version) + le(tensorCount ?? UInt64(tensors.count)) + le(keyCount ?? UInt64(metadata.count))
        for (key, value) in metadata { out += text(Array(key.utf8)) + encode(value) }
        var next: UInt64 = 0
        for tensor in tensors {
            out += text(Array(tensor.name.utf8)) + le(UInt32(tensor.dims.count)) + tensor.dims.flatMap { le($0) } + le(tensor.type)
            out += le(tensor.offset ?? next)
            next += UInt64(padded(tensor.byteCount))
        }
        return out
    }

    /// The whole file. It ends with the last byte of its last tensor, and tensor bytes count up.
    var bytes: [UInt8] {
        var out = head
        for tensor in tensors {
            out += [UInt8](repeating: 0, count: padded(out.count) - out.count)
            out += (0..<tensor.byteCount).map { UInt8(truncatingIfNeeded: $0) }
        }
        return out
    }

    private func padded(_ count: Int) -> Int { (count + alignment - 1) / alignment * alignment }

    private func encode(_ value: Value) -> [UInt8] {
        switch value {
        case .uint8(let v): le(UInt32(0)) + [v]
        case .uint32(let v): le(UInt32(4)) + le(v)
        case .int32(let v): le(UInt32(5)) + le(v)
        case .float32(let v): le(UInt32(6)) + le(v.bitPattern)
        case .bool(let v): le(UInt32(7)) + [v]
        case .string(let v): le(UInt32(8)) + text(Array(v.utf8))
        case .bytes(let v): le(UInt32(8)) + text(v)
        case .strings(let v): le(UInt32(9)) + le(UInt32(8)) + le(UInt64(v.count)) + v.flatMap { text(Array($0.utf8)) }
        case .int32s(let v): le(UInt32(9)) + le(UInt32(5)) + le(UInt64(v.count)) + v.flatMap { le($0) }
        case .floats(let v): le(UInt32(9)) + le(UInt32(6)) + le(UInt64(v.count)) + v.flatMap { le($0.bitPattern) }
        case .uint64(let v): le(UInt32(10)) + le(v)
        case .float64(let v): le(UInt32(12)) + le(v.bitPattern)
        case .raw(let type, let bytes): le(type) + bytes
        }
    }

    private func text(_ bytes: [UInt8]) -> [UInt8] { le(UInt64(bytes.count)) + bytes }
}

func le<T: FixedWidthInteger>(_ value: T) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }

extension GGUFWriter {
    /// A complete Llama model of one or more layers: hidden 32, 2 heads, 1 KV head, feed-forward 64, vocabulary 4.
    static func llama(layers: Int = 1, tied: Bool = true) -> GGUFWriter {
        var writer = GGUFWriter()
        writer.set("general.architecture", .string("llama"))
        writer.set("general.name", .string("tiny"))
        writer.set("llama.block_count", .uint32(UInt32(layers)))
        writer.set("llama.context_length", .uint32(128))
        writer.set("llama.embedding_length", .uint32(32))
        writer.set("llama.feed_forward_length", .uint32(64))
        writer.set("llama.attention.head_count", .uint32(2))
        writer.set("llama.attention.head_count_kv", .uint32(1))
        writer.set("llama.rope.freq_base", .float32(10_000))
        writer.set("llama.attention.layer_norm_rms_epsilon", .float32(1e-5))
        writer.set("llama.rope.dimension_count", .uint32(16))
        writer.set("tokenizer.ggml.model", .string("gpt2"))
        writer.set("tokenizer.ggml.tokens", .strings(["a", "b", "ab", "<end>"]))
        writer.set("tokenizer.ggml.token_type", .int32s([1, 1, 1, 3]))
        writer.add("token_embd.weight", [32, 4], .q8_0)
        for layer in 0..<layers { writer.addBlock(layer) }
        writer.add("output_norm.weight", [32])
        if !tied { writer.add("output.weight", [32, 4], .f16) }
        return writer
    }

    private mutating func addBlock(_ layer: Int) {
        let shapes: [(String, [UInt64])] = [
            ("attn_q", [32, 32]), ("attn_k", [32, 16]), ("attn_v", [32, 16]), ("attn_output", [32, 32]), ("ffn_gate", [32, 64]),
            ("ffn_up", [32, 64]), ("ffn_down", [64, 32]),
        ]
        add("blk.\(layer).attn_norm.weight", [32])
        for (name, dims) in shapes { add("blk.\(layer).\(name).weight", dims, .q4_1) }
        add("blk.\(layer).ffn_norm.weight", [32])
    }

    func opened(_ name: String = "tiny.gguf") throws(ModelError) -> ModelFile {
        try ModelFile(file: GGUFFile(bytes: bytes, name: name))
    }
}

/// SplitMix64, so that every run of a test sees the same numbers. Source: Steele, Lea and Flood, OOPSLA 2014.
struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
