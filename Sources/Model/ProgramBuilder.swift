// SPDX-License-Identifier: Apache-2.0

/// Gathers a program's tensors and operations; each weight enters once, however often it is used.
struct ProgramBuilder {
    let hyperparameters: Hyperparameters
    private let layers: Range<Int>
    private let weights: WeightSource
    private var tensors: [ProgramDescription.Tensor] = []
    private var operations: [ProgramDescription.Operation] = []
    private var weightIndices: [String: Int] = [:]
    private var input = ProgramDescription.Input.tokens

    init(_ hyperparameters: Hyperparameters, layers: Range<Int>, weights: WeightSource) {
        self.hyperparameters = hyperparameters
        self.layers = layers
        self.weights = weights
    }

    /// The hidden states that another part of the model made.
    mutating func hiddenInput() -> Int {
        let index = add(.init(name: "hidden", role: .input, type: .f32, shape: [.tokens, .fixed(hyperparameters.hidden)]))
        input = .hidden(index)
        return index
    }

    mutating func weight(_ name: String, _ shape: [Int]) throws(ModelError) -> Int {
        if let index = weightIndices[name] { return index }
        let index = add(try weights.tensor(name, shape))
        weightIndices[name] = index
        return index
    }

    /// Adds an operation and the activation it makes; gives that activation's index.
    mutating func append(
        _ kind: ProgramDescription.Kind, _ inputs: [Int], _ name: String, _ shape: [ProgramDescription.Dimension], layer: Int? = nil
    ) -> Int {
        let output = add(.init(name: name, role: .activation, type: .f32, shape: shape))
        operations.append(.init(kind: kind, inputs: inputs, output: output, layer: layer))
        return output
    }

    /// `name`.weight is `[hidden]`.
    mutating func norm(_ x: Int, _ name: String, layer: Int?) throws(ModelError) -> Int {
        let weight = try weight(name + ".weight", [hyperparameters.hidden])
        return append(.rmsNorm(epsilon: hyperparameters.rmsEpsilon), [x, weight], name, tensors[x].shape, layer: layer)
    }

    /// `name`.weight is `[outputs, inputs]`; `name`.bias, `[outputs]`, is used when there is one.
    mutating func linear(_ x: Int, _ name: String, from inputs: Int, to outputs: Int, layer: Int?) throws(ModelError) -> Int {
        var operands = [x, try weight(name + ".weight", [outputs, inputs])]
        if let bias = try weights.optional(name + ".bias", [outputs]) { operands.append(add(bias)) }
        return append(.linear, operands, name, [tensors[x].shape[0], .fixed(outputs)], layer: layer)
    }

    mutating func rope(_ x: Int, _ name: String, heads: Int, style: ProgramDescription.Rope.Style, layer: Int) -> Int {
        let h = hyperparameters
        let rope = ProgramDescription.Rope(
            heads: heads, headDim: h.headDim, dimensions: h.ropeDimensions, base: h.ropeBase, scale: h.ropeScale, style: style)
        return append(.rope(rope), [x], name, tensors[x].shape, layer: layer)
    }

    consuming func finish(output: Int) -> ProgramDescription {
        var tensors = tensors
        tensors[output].role = .output
        return ProgramDescription(
            hyperparameters: hyperparameters, layers: layers, tensors: tensors, operations: operations, input: input,
            outputKind: layers.upperBound == hyperparameters.layers ? .logits : .hidden, output: output)
    }

    private mutating func add(_ tensor: ProgramDescription.Tensor) -> Int {
        tensors.append(tensor)
        return tensors.count - 1
    }
}
