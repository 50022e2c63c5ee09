// SPDX-License-Identifier: Apache-2.0

/// What `baton model inspect` shows: plain values, ready for `--json`.
public struct ModelSummary: Sendable, Hashable, Codable {
    public struct TypeCount: Sendable, Hashable, Codable {
        /// For example `Q4_1`.
        public var type: String
        public var tensors: Int
        public var bytes: Int
    }

    public struct Tokenizer: Sendable, Hashable, Codable {
        /// `tokenizer.ggml.model`, for example `gpt2`.
        public var model: String
        /// `tokenizer.ggml.pre`, for example `smollm`.
        public var preTokenizer: String?
        public var tokens: Int
        public var merges: Int?
        public var hasChatTemplate: Bool
    }

    public var name: String
    public var path: String
    /// `general.name`.
    public var title: String?
    /// `general.license`.
    public var license: String?
    /// False for a model known by its shape alone.
    public var hasWeights: Bool
    public var hyperparameters: Hyperparameters
    public var parameters: Int
    public var tensors: Int
    /// By bytes, largest first.
    public var types: [TypeCount]
    /// Of the weights as stored.
    public var weightBytes: Int
    /// Nil without weights.
    public var fileBytes: Int?
    public var tokenizer: Tokenizer?
    /// With F16 keys and values.
    public var kvBytesPerToken: Int

    /// Errors: a metadata key of another type than the format gives it.
    public init(_ model: ModelFile) throws(ModelError) {
        let weights = model.whole.tensors.filter(\.isWeight)
        name = model.name
        path = model.path
        title = try model.file?.stringIfPresent("general.name")
        license = try model.file?.stringIfPresent("general.license")
        hasWeights = model.file != nil
        hyperparameters = model.hyperparameters
        parameters = model.whole.parameterCount
        tensors = weights.count
        types = Self.histogram(weights)
        weightBytes = model.whole.weightBytes()
        fileBytes = model.file?.byteCount
        tokenizer = try model.file.flatMap { file throws(ModelError) in try Tokenizer(file) }
        kvBytesPerToken = model.whole.kvBytesPerToken(bytesPerElement: 2)
    }

    private static func histogram(_ weights: [ProgramDescription.Tensor]) -> [TypeCount] {
        var counts: [TensorType: TypeCount] = [:]
        for weight in weights {
            var count = counts[weight.type] ?? TypeCount(type: weight.type.name, tensors: 0, bytes: 0)
            count.tensors += 1
            count.bytes += weight.weightBytes(as: nil)
            counts[weight.type] = count
        }
        return counts.values.sorted { ($0.bytes, $1.type) > ($1.bytes, $0.type) }
    }
}

extension ModelSummary.Tokenizer {
    /// Nil when the file has no tokenizer.
    init?(_ file: GGUFFile) throws(ModelError) {
        guard let model = try file.stringIfPresent("tokenizer.ggml.model") else { return nil }
        self.model = model
        preTokenizer = try file.stringIfPresent("tokenizer.ggml.pre")
        tokens = try file.countIfPresent("tokenizer.ggml.tokens") ?? 0
        merges = try file.countIfPresent("tokenizer.ggml.merges")
        hasChatTemplate = file.contains("tokenizer.chat_template")
    }
}
