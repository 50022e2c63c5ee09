// SPDX-License-Identifier: Apache-2.0

/// Where a program's weights come from: a file, or nowhere, for a model known by its shape alone.
enum WeightSource: Sendable {
    case file(GGUFFile)
    /// Matrices have this type, vectors are F32.
    case absent(TensorType, name: String)

    /// The file, for errors.
    var name: String {
        switch self {
        case .file(let file): file.path
        case .absent(_, let name): name
        }
    }

    /// Weight `tensor` of `shape`, slowest dimension first; it must be there and have that shape.
    func tensor(_ tensor: String, _ shape: [Int]) throws(ModelError) -> ProgramDescription.Tensor {
        if let found = try tensorIfPresent(tensor, shape) { return found }
        throw ModelError(
            .invalid, name, "has no tensor \"\(tensor)\" (wanted shape \(shape))", remedy: "use a complete GGUF file of the model")
    }

    /// As `tensor`, or nil when the source has none of that name. A source without weights has no optional ones.
    func optional(_ tensor: String, _ shape: [Int]) throws(ModelError) -> ProgramDescription.Tensor? {
        guard case .file = self else { return nil }
        return try tensorIfPresent(tensor, shape)
    }

    /// Throws when a tensor is there that the program would have to ignore.
    func refuse(_ tensor: String, because reason: String) throws(ModelError) {
        guard case .file(let file) = self, file.tensor(tensor) != nil else { return }
        throw ModelError(.unsupported, name, "has a tensor \"\(tensor)\": \(reason)", remedy: "use a model without it")
    }

    private func tensorIfPresent(_ tensor: String, _ shape: [Int]) throws(ModelError) -> ProgramDescription.Tensor? {
        let dimensions = shape.map { ProgramDescription.Dimension.fixed($0) }
        switch self {
        case .absent(let type, _):
            return .init(name: tensor, role: .weight(nil), type: shape.count == 1 ? .f32 : type, shape: dimensions)
        case .file(let file):
            guard let found = file.tensor(tensor) else { return nil }
            guard found.shape == shape else {
                throw ModelError(
                    .invalid, name, "tensor \"\(tensor)\" has shape \(found.shape), where \(shape) is needed",
                    remedy: "use a file whose metadata and tensors agree")
            }
            return .init(name: tensor, role: .weight(found), type: found.type, shape: dimensions)
        }
    }
}
