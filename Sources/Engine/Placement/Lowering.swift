import Driver
import Model

/// Turns a model's description of a part into the contract's terms. `weights` places each weight: which buffer, which offset, which dtype.
enum Lowering {
    /// Where a weight lies on a device.
    struct Place {
        var buffer: Int
        var offset: UInt64
        var dtype: DType
    }

    static func lower(
        _ description: ProgramDescription, limits: ProgramLimits, weights: (ProgramDescription.Tensor) -> Place?
    ) -> ProgramBuilder {
        let h = description.hyperparameters
        var builder = ProgramBuilder(
            layers: description.layers, kvHeads: h.kvHeads, headDim: h.headDim, maxTokens: limits.tokens,
            maxSequences: limits.sequences, maxContext: limits.context)
        builder.tensors = description.tensors.map { tensor($0, weights($0)) }
        builder.operations = description.operations.map(operation)
        return builder
    }

    private static func tensor(_ tensor: ProgramDescription.Tensor, _ place: Place?) -> ProgramBuilder.Tensor {
        let shape = tensor.shape.map { dimension -> ProgramBuilder.Dimension in
            switch dimension {
            case .fixed(let count): .fixed(count)
            case .tokens: .tokens
            case .rows: .rows
            }
        }
        let role: ProgramBuilder.Role =
            switch tensor.role {
            case .weight: .weight
            case .activation: .activation
            case .input: .input
            case .output: .output
            }
        return ProgramBuilder.Tensor(
            name: tensor.name, role: role, dtype: place?.dtype ?? tensor.type.dtype, shape: shape, buffer: place?.buffer,
            offset: place?.offset ?? 0)
    }

    private static func operation(_ operation: ProgramDescription.Operation) -> ProgramBuilder.Operation {
        func make(_ kind: ProgramBuilder.Operation.Kind) -> ProgramBuilder.Operation {
            ProgramBuilder.Operation(kind, layer: operation.layer, inputs: operation.inputs, output: operation.output)
        }
        switch operation.kind {
        case .embed: return make(.embed)
        case .linear: return make(.linear)
        case .swiglu: return make(.swiglu)
        case .add: return make(.add)
        case .mul: return make(.mul)
        case .selectRows: return make(.selectRows)
        case .rmsNorm(let epsilon):
            var made = make(.rmsNorm)
            made.epsilon = epsilon
            return made
        case .softcap(let cap):
            var made = make(.softcap)
            made.cap = cap
            return made
        case .rope(let rope): return turned(make(.rope), rope)
        case .attention(let attention):
            var made = make(.attention)
            made.heads = attention.heads
            made.kvHeads = attention.kvHeads
            made.headDim = attention.headDim
            made.scale = attention.scale
            return made
        }
    }

    private static func turned(_ operation: ProgramBuilder.Operation, _ rope: ProgramDescription.Rope) -> ProgramBuilder.Operation {
        var made = operation
        made.heads = rope.heads
        made.headDim = rope.headDim
        made.ropeDims = rope.dimensions
        made.ropeBase = rope.base
        made.ropeScale = rope.scale
        made.ropeStyle = rope.style == .interleaved ? .interleaved : .splitHalf
        return made
    }
}

/// The largest shapes a program will be given.
public struct ProgramLimits: Sendable, Hashable {
    /// T of one batch, sequences of one batch, KV tokens of one sequence.
    public var tokens: Int
    public var sequences: Int
    public var context: Int
}

extension TensorType {
    /// The contract's number for a GGUF type.
    var dtype: DType {
        switch self {
        case .f32: .f32
        case .f16: .f16
        case .bf16: .bf16
        case .q4_0: .q4_0
        case .q4_1: .q4_1
        case .q8_0: .q8_0
        }
    }
}
