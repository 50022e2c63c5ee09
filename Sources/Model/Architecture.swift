// SPDX-License-Identifier: Apache-2.0

/// A family of models: how its files state hyperparameters, and which operations it computes. To add one, conform a type and list it in
/// `Architectures.all`.
protocol Architecture: Sendable {
    /// As `general.architecture` spells it.
    static var name: String { get }
    static func hyperparameters(of file: GGUFFile) throws(ModelError) -> Hyperparameters
    /// The program of `layers`, with weights from `weights`.
    static func program(
        for hyperparameters: Hyperparameters, layers: Range<Int>, weights: WeightSource
    ) throws(ModelError) -> ProgramDescription
}

enum Architectures {
    static let all: [any Architecture.Type] = [LlamaArchitecture.self]

    static func named(_ name: String, for file: String) throws(ModelError) -> any Architecture.Type {
        if let found = all.first(where: { $0.name == name }) { return found }
        throw ModelError(
            .unsupported, file, "has architecture \"\(printable(name))\", which Baton does not compute",
            remedy: "use a model of: \(all.map { $0.name }.joined(separator: ", "))")
    }
}
