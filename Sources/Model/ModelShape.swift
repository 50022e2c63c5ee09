// SPDX-License-Identifier: Apache-2.0

/// A model known by its shape alone, so that a plan can be proven (does it fit, what moves, how long) without its weights. A file whose
/// name ends in `.shape.json` may stand where a model is expected:
///
///     {"architecture": "llama", "layers": 80, "hidden": 8192, "heads": 64, "kv_heads": 8, "head_dim": 128, "ffn": 28672,
///      "vocab": 128256, "context": 131072, "weight_type": "F16"}
///
/// Optional: `kv_heads` (as many as heads), `head_dim` (hidden / heads), `tied_embeddings` (false), `rms_epsilon` (1e-5), `rope_base`
/// (10000), `rope_dimensions` (the head size), `rope_factor` (1). Unknown keys are errors.
public struct ModelShape: Sendable, Hashable {
    public let hyperparameters: Hyperparameters
    /// Of matrices; vectors are F32.
    public let weightType: TensorType

    static let suffix = ".shape.json"

    /// Reads the file at `path`.
    public init(path: String) throws(ModelError) {
        try self.init(json: OpenFile.contents(of: path, limit: 1 << 16), name: path)
    }

    /// Reads `json`; `name` stands for the path in errors.
    public init(json: [UInt8], name: String) throws(ModelError) {
        var draft = Draft(file: name)
        for member in try FlatJSON.members(of: json, file: name) { try draft.take(member) }
        self = try draft.checked()
    }

    fileprivate init(hyperparameters: Hyperparameters, weightType: TensorType) {
        self.hyperparameters = hyperparameters
        self.weightType = weightType
    }
}

/// What has been read so far.
private struct Draft {
    let file: String
    var stated = Hyperparameters.Stated()
    var weightType: TensorType?
    var seen: Set<String> = []

    static let required = ["architecture", "layers", "hidden", "heads", "ffn", "vocab", "context", "weight_type"]
    static let optional = ["kv_heads", "head_dim", "tied_embeddings", "rms_epsilon", "rope_base", "rope_dimensions", "rope_factor"]

    init(file: String) { self.file = file }

    mutating func take(_ member: FlatJSON.Member) throws(ModelError) {
        seen.insert(member.key)
        switch member.key {
        case "architecture": stated.architecture = try Architectures.named(text(member), for: file).name
        case "layers": stated.layers = try integer(member)
        case "hidden": stated.hidden = try integer(member)
        case "heads": stated.heads = try integer(member)
        case "kv_heads": stated.kvHeads = try integer(member)
        case "head_dim": stated.headDim = try integer(member)
        case "ffn": stated.feedForward = try integer(member)
        case "vocab": stated.vocabulary = try integer(member)
        case "context": stated.contextLength = try integer(member)
        case "weight_type": weightType = try type(member)
        case "tied_embeddings": stated.tiedEmbeddings = try flag(member)
        case "rms_epsilon": stated.rmsEpsilon = try number(member)
        case "rope_base": stated.ropeBase = try number(member)
        case "rope_dimensions": stated.ropeDimensions = try integer(member)
        case "rope_factor": stated.ropeFactor = try number(member)
        default: throw unknown(member)
        }
    }

    func checked() throws(ModelError) -> ModelShape {
        let missing = Self.required.filter { !seen.contains($0) }
        guard missing.isEmpty, let weightType else {
            throw ModelError(.invalid, file, "lacks \(missing.joined(separator: ", "))", remedy: "add what is missing")
        }
        let hyperparameters = try Hyperparameters(checking: stated, of: file, name: Self.name)
        let rows = [hyperparameters.hidden, hyperparameters.feedForward, hyperparameters.heads * hyperparameters.headDim]
        if let row = rows.first(where: { $0 % weightType.blockElements != 0 }) {
            throw ModelError(
                .invalid, file,
                "rows of \(row) elements cannot be stored as \(weightType.name), whose blocks have \(weightType.blockElements)",
                remedy: "choose F16 or BF16")
        }
        return ModelShape(hyperparameters: hyperparameters, weightType: weightType)
    }

    private static func name(_ field: Hyperparameters.Field) -> String {
        switch field {
        case .layers: "layers"
        case .hidden: "hidden"
        case .feedForward: "ffn"
        case .heads: "heads"
        case .kvHeads: "kv_heads"
        case .headDim: "head_dim"
        case .vocabulary: "vocab"
        case .contextLength: "context"
        case .rmsEpsilon: "rms_epsilon"
        case .ropeBase: "rope_base"
        case .ropeDimensions: "rope_dimensions"
        case .ropeFactor: "rope_factor"
        }
    }
}

extension Draft {
    private func integer(_ member: FlatJSON.Member) throws(ModelError) -> UInt64 {
        guard case .integer(let value) = member.value else { throw wrong(member, wanted: "a whole number") }
        return value
    }

    private func number(_ member: FlatJSON.Member) throws(ModelError) -> Double {
        switch member.value {
        case .integer(let value): return Double(value)
        case .number(let value): return value
        default: throw wrong(member, wanted: "a number")
        }
    }

    private func text(_ member: FlatJSON.Member) throws(ModelError) -> String {
        guard case .string(let value) = member.value else { throw wrong(member, wanted: "a string") }
        return value
    }

    private func flag(_ member: FlatJSON.Member) throws(ModelError) -> Bool {
        guard case .bool(let value) = member.value else { throw wrong(member, wanted: "true or false") }
        return value
    }

    private func type(_ member: FlatJSON.Member) throws(ModelError) -> TensorType {
        guard let type = TensorType(name: try text(member)) else { throw wrong(member, wanted: "one of \(TensorType.readable)") }
        return type
    }

    private func wrong(_ member: FlatJSON.Member, wanted: String) -> ModelError {
        ModelError(.invalid, file, "\(member.place): \"\(member.key)\" must be \(wanted)")
    }

    private func unknown(_ member: FlatJSON.Member) -> ModelError {
        let all = Self.required + Self.optional
        let near = Spelling.nearest(to: member.key, in: all).map { "did you mean \"\($0)\"?" }
        let hint = near ?? "known keys: \(all.joined(separator: ", "))"
        return ModelError(.invalid, file, "\(member.place): unknown key \"\(printable(member.key))\"", remedy: hint)
    }
}
