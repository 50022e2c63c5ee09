// SPDX-License-Identifier: Apache-2.0

/// A model opened and checked: its weights mapped from a GGUF file, or its shape alone from a `.shape.json` file.
///
/// What is here has been proven against its architecture: every weight that the whole model needs is there with its right shape, and no
/// tensor of the file would be left out.
public struct ModelFile: Sendable {
    /// The file's name without folder and suffix.
    public let name: String
    public let path: String
    public let hyperparameters: Hyperparameters
    /// The whole model as one program. Its counts are those of the model.
    public let whole: ProgramDescription
    /// Metadata and mapped weights; nil for a model known by its shape alone.
    public let file: GGUFFile?
    private let architecture: any Architecture.Type
    private let weights: WeightSource

    /// Opens a GGUF file, or a shape file when the name ends in `.shape.json`.
    public init(path: String) throws(ModelError) {
        if path.hasSuffix(ModelShape.suffix) {
            try self.init(shape: ModelShape(path: path), path: path)
        } else {
            try self.init(file: GGUFFile(path: path))
        }
    }

    public init(file: GGUFFile) throws(ModelError) {
        let architecture = try Architectures.named(file.string("general.architecture"), for: file.path)
        try self.init(
            path: file.path, hyperparameters: architecture.hyperparameters(of: file), file: file, architecture: architecture,
            weights: .file(file))
        try Self.checkAllUsed(file, by: whole)
        try Self.checkVocabulary(file, hyperparameters)
    }

    /// A model without weights; `path` names it.
    public init(shape: ModelShape, path: String) throws(ModelError) {
        let architecture = try Architectures.named(shape.hyperparameters.architecture, for: path)
        try self.init(
            path: path, hyperparameters: shape.hyperparameters, file: nil, architecture: architecture,
            weights: .absent(shape.weightType, name: path))
    }

    private init(
        path: String, hyperparameters: Hyperparameters, file: GGUFFile?, architecture: any Architecture.Type, weights: WeightSource
    ) throws(ModelError) {
        self.path = path
        name = ModelStore.name(ofFile: path)
        self.hyperparameters = hyperparameters
        self.file = file
        self.architecture = architecture
        self.weights = weights
        whole = try architecture.program(for: hyperparameters, layers: 0..<hyperparameters.layers, weights: weights)
    }

    /// The program of `layers`, a part of the model: from tokens when it begins at layer 0, else from hidden states; to logits when it
    /// ends at the last layer, else to hidden states. Errors: an empty range, or one outside the model.
    public func program(layers: Range<Int>) throws(ModelError) -> ProgramDescription {
        try architecture.program(for: hyperparameters, layers: layers, weights: weights)
    }

    /// A tensor that the program does not read would change what the model computes, were it read; so it is not passed over.
    private static func checkAllUsed(_ file: GGUFFile, by program: ProgramDescription) throws(ModelError) {
        let used = Set(program.tensors.map(\.name))
        guard let extra = file.tensors.first(where: { !used.contains($0.name) }) else { return }
        throw ModelError(
            .unsupported, file.path,
            "has a tensor \"\(printable(extra.name))\", which architecture \"\(program.hyperparameters.architecture)\" does not use",
            remedy: "use a plain file of the model")
    }

    /// Every token that the tokenizer can give must have a row in the embedding.
    private static func checkVocabulary(_ file: GGUFFile, _ hyperparameters: Hyperparameters) throws(ModelError) {
        let tokens = try file.countIfPresent("tokenizer.ggml.tokens") ?? 0
        guard tokens <= hyperparameters.vocabulary else {
            throw ModelError(
                .invalid, file.path,
                "key \"tokenizer.ggml.tokens\" has \(tokens) tokens, but the embedding has \(hyperparameters.vocabulary) rows",
                remedy: "use a file whose tokenizer and weights agree")
        }
    }
}
