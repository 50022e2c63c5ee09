// SPDX-License-Identifier: Apache-2.0

/// The signature of a foreign stage's C function: `i32 mask(f32* logits, u64 count, i32* history, u64 history_count)`. Types are void, bool,
/// i8 ... i64, u8 ... u64, f32, f64, `T*` and ptr; `const` before a type is allowed and means nothing; parameter names are optional.
public struct StageSignature: Hashable, Sendable {
    public indirect enum ValueType: Hashable, Sendable {
        case void, bool
        case i8, i16, i32, i64
        case u8, u16, u32, u64
        case f32, f64
        /// `T*`; nil for `ptr` and `void*`, an address of anything.
        case pointer(ValueType?)
    }

    public struct Parameter: Hashable, Sendable {
        public let type: ValueType
        /// Nil when the text gives none.
        public let name: String?

        public init(_ type: ValueType, _ name: String? = nil) {
            self.type = type
            self.name = name
        }
    }

    /// Why a text is not a signature.
    public struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
        /// In the signature's text, from 1.
        public let column: Int
        public let message: String
        public var description: String { "signature, column \(column): \(message)" }
    }

    public let returnType: ValueType
    /// Empty when the text gives none.
    public let name: String
    public let parameters: [Parameter]

    public init(returnType: ValueType, name: String, parameters: [Parameter]) {
        self.returnType = returnType
        self.name = name
        self.parameters = parameters
    }

    public init(_ text: String) throws(Failure) {
        var parser = StageSignatureParser(text)
        self = try parser.signature()
    }
}

extension StageSignature: CustomStringConvertible {
    /// In its plainest form, which reads back as the same signature.
    public var description: String {
        let list = parameters.map { parameter in parameter.name.map { "\(parameter.type) \($0)" } ?? "\(parameter.type)" }
        return "\(returnType) \(name)(\(list.joined(separator: ", ")))"
    }
}

extension StageSignature.ValueType: CustomStringConvertible {
    static let named: [String: StageSignature.ValueType] = [
        "void": .void, "bool": .bool, "i8": .i8, "i16": .i16, "i32": .i32, "i64": .i64, "u8": .u8, "u16": .u16, "u32": .u32, "u64": .u64,
        "f32": .f32, "f64": .f64, "ptr": .pointer(nil),
    ]

    public var description: String {
        switch self {
        case .pointer(nil): "ptr"
        case .pointer(let target?): "\(target)*"
        default: Self.named.first { $0.value == self }?.key ?? "?"
        }
    }
}
