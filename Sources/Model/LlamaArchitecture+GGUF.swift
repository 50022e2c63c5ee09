// SPDX-License-Identifier: Apache-2.0

extension LlamaArchitecture {
    /// Reads and checks the `llama.*` keys; a key whose meaning Baton does not compute is refused, never ignored.
    static func hyperparameters(of file: GGUFFile) throws(ModelError) -> Hyperparameters {
        try refuseUnsupported(file)
        var stated = Hyperparameters.Stated()
        stated.architecture = name
        stated.layers = try file.uint(key(.layers))
        stated.hidden = try file.uint(key(.hidden))
        stated.feedForward = try file.uint(key(.feedForward))
        stated.heads = try file.uint(key(.heads))
        stated.kvHeads = try file.uintIfPresent(key(.kvHeads))
        stated.headDim = try headDim(of: file)
        stated.vocabulary = try vocabulary(of: file)
        stated.contextLength = try file.uint(key(.contextLength))
        stated.rmsEpsilon = try file.float(key(.rmsEpsilon))
        stated.ropeBase = try file.floatIfPresent(key(.ropeBase)) ?? stated.ropeBase
        stated.ropeDimensions = try file.uintIfPresent(key(.ropeDimensions))
        stated.ropeFactor = try ropeFactor(of: file)
        stated.tiedEmbeddings = file.tensor("output.weight") == nil
        return try Hyperparameters(checking: stated, of: file.path) { "key \"\(key($0))\"" }
    }

    private static func key(_ field: Hyperparameters.Field) -> String {
        switch field {
        case .layers: "llama.block_count"
        case .hidden: "llama.embedding_length"
        case .feedForward: "llama.feed_forward_length"
        case .heads: "llama.attention.head_count"
        case .kvHeads: "llama.attention.head_count_kv"
        case .headDim: "llama.attention.key_length"
        case .vocabulary: "llama.vocab_size"
        case .contextLength: "llama.context_length"
        case .rmsEpsilon: "llama.attention.layer_norm_rms_epsilon"
        case .ropeBase: "llama.rope.freq_base"
        case .ropeDimensions: "llama.rope.dimension_count"
        case .ropeFactor: "llama.rope.scaling.factor"
        }
    }

    /// Keys and values of different sizes are refused.
    private static func headDim(of file: GGUFFile) throws(ModelError) -> UInt64? {
        let keys = try file.uintIfPresent(key(.headDim))
        guard let values = try file.uintIfPresent("llama.attention.value_length") else { return keys }
        let shared = try file.uint(key(.hidden)) / max(1, file.uint(key(.heads)))
        let found = keys ?? shared
        guard values == found else {
            throw ModelError(
                .unsupported, file.path, "key \"llama.attention.value_length\" is \(values) and its keys have \(found) elements",
                remedy: "use a model whose keys and values have one size")
        }
        return keys
    }

    /// As stated, else as many rows as the token embedding has.
    private static func vocabulary(of file: GGUFFile) throws(ModelError) -> UInt64 {
        if let stated = try file.uintIfPresent(key(.vocabulary)) { return stated }
        guard let table = file.tensor("token_embd.weight"), table.dims.count == 2 else {
            throw ModelError(
                .invalid, file.path, "has neither key \"\(key(.vocabulary))\" nor a tensor \"token_embd.weight\" of two dimensions",
                remedy: "use a complete GGUF file of the model")
        }
        return table.dims[1]
    }

    private static func ropeFactor(of file: GGUFFile) throws(ModelError) -> Double {
        let old = try file.floatIfPresent("llama.rope.scale_linear")
        let stated = try file.floatIfPresent(key(.ropeFactor))
        let kind = try file.stringIfPresent("llama.rope.scaling.type") ?? (old ?? stated == nil ? "none" : "linear")
        switch kind {
        case "none": return 1
        case "linear": return stated ?? old ?? 1
        default:
            throw ModelError(
                .unsupported, file.path, "key \"llama.rope.scaling.type\" is \"\(printable(kind))\"",
                remedy: "use a model whose rotary scaling is none or linear")
        }
    }

    /// Variants that share the architecture's name and compute something else.
    private static func refuseUnsupported(_ file: GGUFFile) throws(ModelError) {
        func refuse(_ key: String, _ found: some Any) -> ModelError {
            ModelError(
                .unsupported, file.path, "key \"\(key)\" is \(found), which Baton does not compute", remedy: "use a plain Llama model")
        }
        if let experts = try file.uintIfPresent("llama.expert_count"), experts != 0 { throw refuse("llama.expert_count", experts) }
        if let window = try file.uintIfPresent("llama.attention.sliding_window"), window != 0 {
            throw refuse("llama.attention.sliding_window", window)
        }
        if try file.boolIfPresent("llama.attention.causal") == false { throw refuse("llama.attention.causal", false) }
        for key in ["llama.attention.scale", "llama.logit_scale", "llama.embedding_scale", "llama.residual_scale"] {
            if let scale = try file.floatIfPresent(key), scale != 1, scale != 0 { throw refuse(key, scale) }
        }
    }
}
