// SPDX-License-Identifier: Apache-2.0

/// How the elements of a tensor are stored. Raw values are the type numbers of the GGUF format.
///
/// Block types store 32 consecutive elements of the fastest dimension together: Q4_0 as an f16 scale and 32 nibbles, Q4_1 as an f16
/// scale, an f16 minimum and 32 nibbles, Q8_0 as an f16 scale and 32 signed bytes.
/// Source: the GGUF specification, `ggml_type`, and the block structs of ggml-common.h.
public enum TensorType: UInt32, Sendable, Hashable, CaseIterable {
    case f32 = 0
    case f16 = 1
    case q4_0 = 2
    case q4_1 = 3
    case q8_0 = 8
    case bf16 = 30

    /// As GGUF tools spell it, for example `Q4_1`.
    public var name: String {
        switch self {
        case .f32: "F32"
        case .f16: "F16"
        case .q4_0: "Q4_0"
        case .q4_1: "Q4_1"
        case .q8_0: "Q8_0"
        case .bf16: "BF16"
        }
    }

    /// The type of that name, in any case.
    public init?(name: String) {
        guard let type = Self.allCases.first(where: { $0.name == name.uppercased() }) else { return nil }
        self = type
    }

    /// Elements stored together: 1, or 32 for block types. The fastest dimension is a multiple of it.
    public var blockElements: Int {
        switch self {
        case .f32, .f16, .bf16: 1
        case .q4_0, .q4_1, .q8_0: 32
        }
    }

    /// Bytes of one block.
    public var blockBytes: Int {
        switch self {
        case .f32: 4
        case .f16, .bf16: 2
        case .q4_0: 18
        case .q4_1: 20
        case .q8_0: 34
        }
    }

    /// Every readable type, for messages: `F32, F16, ...`.
    static var readable: String { allCases.map(\.name).joined(separator: ", ") }

    /// How to name a type number in a message, whether or not Baton reads it.
    static func describe(_ id: UInt32) -> String {
        if let type = TensorType(rawValue: id) { return type.name }
        return unread[id].map { "\($0) (type \(id))" } ?? "unknown type \(id)"
    }

    /// Type numbers of the format that Baton does not read.
    private static let unread: [UInt32: String] = [
        4: "Q4_2", 5: "Q4_3", 6: "Q5_0", 7: "Q5_1", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K",
        16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8",
        25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M", 31: "Q4_0_4_4", 32: "Q4_0_4_8", 33: "Q4_0_8_8", 34: "TQ1_0",
        35: "TQ2_0", 36: "IQ4_NL_4_4", 37: "IQ4_NL_4_8", 38: "IQ4_NL_8_8", 39: "MXFP4",
    ]
}
