import Driver

/// What fuzzing begins with, beside real files: small inputs that are sound, and words of each format.
extension FuzzTarget {
    public var seeds: [[UInt8]] {
        switch self {
        case .gguf: [Self.smallModel]
        case .manifest: [Array("baton: 1\nmodel: m\ndevices: {a: cpu, b: {driver: cs3, options: {chips: 2}}}\nstages: {prefill: a, decode: {replicas: [b, {devices: [a], split: layers}]}}\ntrust: {require: hash, keys: [k.pub]}\n".utf8)]
        case .driverManifest:
            [Array(#"{"name":"acme","library":"libbaton-acme.so","abi":{"min":"1.0","max":"1.1"},"sha256":"\#(String(repeating: "ab", count: 32))","capabilities":["baton.kv"],"devices":["One"],"signature":{"key":"ed25519:AAAA","value":"AAAA"}}"#.utf8)]
        case .elf: [Self.smallLibrary]
        case .child: [[WireFrame.setup.rawValue] + Self.setup] + WireFrame.allCases.map { [$0.rawValue] + [UInt8](repeating: 1, count: 96) }
        case .attestation:
            [Array(#"{"document":{"format":"baton-attestation-1","nonce":"00ff","time":"2026-01-01T00:00:00Z","list":[1,-2,null,true,"\u00e9\n"]},"signature":{"algorithm":"Ed25519","key":"ed25519:AAAA","value":"AAAA"}}"#.utf8)]
        }
    }

    public var words: [String] {
        switch self {
        case .gguf: ["GGUF", "general.architecture", "llama", "general.alignment", "tokenizer.ggml.tokens"]
        case .manifest: ["baton: 1", "model: ", "devices", "stages", "prefill", "decode", "foreign", "&a ", "*a", "<<: ", "!!binary ", "? ", "- ", "{", "[", "\"", "|\n", "\u{FEFF}", "\n  ", "1e999", ".nan"]
        case .driverManifest, .attestation: ["{", "[", "\"", "\\u0000", "\\ud800", "1e400", "null", "-0", "18446744073709551616", "\"signature\":", "\"document\":"]
        case .elf: ["Baton", "GNU", "\u{7F}ELF"]
        case .child: ["\u{1}\0\0\0", "\u{7F}\u{7F}\u{7F}\u{7F}", "hash", "signature", "ed25519:AAAA", "/a"]
        }
    }

    private static func little(_ value: UInt64, _ width: Int) -> [UInt8] { (0..<width).map { UInt8(truncatingIfNeeded: value >> UInt64($0 * 8)) } }
    private static func text(_ text: String) -> [UInt8] { little(UInt64(text.utf8.count), 8) + Array(text.utf8) }

    /// What a child is told first.
    private static var setup: [UInt8] {
        var writer = WireWriter()
        let search = DriverSearch(folders: ["/a", "/b"], files: ["/c/libbaton-x.so"], added: ["/d"], select: ["x*"], disable: ["y"])
        ChildSetup(path: "/a/libbaton-x.so", search: search, workers: 3, memoryBytes: 9, processors: 2, processorSeconds: 4).put(to: &writer)
        return writer.bytes
    }

    /// A GGUF of one layer with 32 channels, and a vocabulary of four.
    private static var smallModel: [UInt8] {
        let numbers: [(String, UInt64)] = [
            ("llama.block_count", 1), ("llama.embedding_length", 32), ("llama.feed_forward_length", 32), ("llama.attention.head_count", 2),
            ("llama.attention.head_count_kv", 1), ("llama.context_length", 64), ("llama.rope.dimension_count", 16), ("llama.vocab_size", 4),
        ]
        var keys = numbers.map { text($0.0) + little(4, 4) + little($0.1, 4) }
        keys.insert(text("general.architecture") + little(8, 4) + text("llama"), at: 0)
        keys.append(text("llama.attention.layer_norm_rms_epsilon") + little(6, 4) + little(0x3727_C5AC, 4))
        keys.append(text("tokenizer.ggml.tokens") + little(9, 4) + little(8, 4) + little(4, 8) + ["a", "b", "c", "d"].flatMap(text))
        let tensors: [(String, [UInt64])] = [
            ("token_embd.weight", [32, 4]), ("output_norm.weight", [32]), ("blk.0.attn_norm.weight", [32]), ("blk.0.ffn_norm.weight", [32]),
            ("blk.0.attn_q.weight", [32, 32]), ("blk.0.attn_k.weight", [32, 16]), ("blk.0.attn_v.weight", [32, 16]), ("blk.0.attn_output.weight", [32, 32]),
            ("blk.0.ffn_gate.weight", [32, 32]), ("blk.0.ffn_up.weight", [32, 32]), ("blk.0.ffn_down.weight", [32, 32]),
        ]
        var bytes = Array("GGUF".utf8) + little(3, 4) + little(UInt64(tensors.count), 8) + little(UInt64(keys.count), 8) + keys.flatMap { $0 }
        var offset: UInt64 = 0
        for (name, shape) in tensors {
            bytes += text(name) + little(UInt64(shape.count), 4) + shape.flatMap { little($0, 8) } + little(0, 4) + little(offset, 8)
            offset += shape.reduce(4, *)
        }
        bytes += [UInt8](repeating: 0, count: (32 - bytes.count % 32) % 32)
        return bytes + [UInt8](repeating: 0, count: Int(offset))
    }

    /// A shared library for x86-64 that has two notes and nothing else.
    private static var smallLibrary: [UInt8] {
        let said = little(152, 4) + little(0, 4) + little(1, 4) + little(0, 4) + little(1, 4) + little(1, 4)
            + Array("acme".utf8) + [UInt8](repeating: 0, count: 28) + Array("1.0.0".utf8) + [UInt8](repeating: 0, count: 91)
        let notes = little(4, 4) + little(4, 4) + little(3, 4) + Array("GNU\0".utf8) + [1, 2, 3, 4]
            + little(6, 4) + little(152, 4) + little(1, 4) + Array("Baton\0\0\0".utf8) + said
        let header: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 9) + little(3, 2) + little(62, 2) + little(1, 4) + little(0, 8)
            + little(64, 8) + little(0, 8) + little(0, 4) + little(64, 2) + little(56, 2) + little(1, 2) + little(64, 2) + little(0, 4)
        return header + little(4, 4) + little(4, 4) + little(120, 8) + little(120, 8) + little(120, 8) + little(UInt64(notes.count), 8)
            + little(UInt64(notes.count), 8) + little(4, 8) + notes
    }
}
