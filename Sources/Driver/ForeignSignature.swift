/// The signature of a C function: `f64 cos(f64)`, `i32 mask(f32* logits, u64 count, i32* history, u64 history_count)`, `ptr f(callback)`.
/// Types are void, bool, i8 ... i64, u8 ... u64, f32, f64, `T*`, ptr, str and callback; `const` before a type is allowed and means
/// nothing. Parameter names are optional, and so is the function's for a closure: `i32 (ptr, ptr)`.
public struct ForeignSignature: Hashable, Sendable {
    public struct Parameter: Hashable, Sendable {
        public let type: ForeignType
        /// As the text names it, if it does.
        public let name: String?
    }

    /// The most parameters a signature may have.
    public static let maximumParameters = 64
    /// The longest text of a signature, in bytes.
    public static let maximumLength = 4096
    /// The most stars of one type.
    static let maximumIndirection = 8

    public let result: ForeignType
    /// Empty when the text gives none.
    public let name: String
    public let parameters: [Parameter]

    /// Reads a signature. Errors: kind `signature`, with the column where reading stopped.
    public init(_ text: String) throws(ForeignError) {
        var parser = try ForeignSignatureParser(text)
        self = try parser.signature()
    }

    init(result: ForeignType, name: String, parameters: [Parameter]) {
        self.result = result
        self.name = name
        self.parameters = parameters
    }
}

extension ForeignSignature: CustomStringConvertible {
    /// The signature in its plainest form, which reads back as itself.
    public var description: String {
        let list = parameters.map { parameter in
            parameter.name.map { "\(parameter.type) \($0)" } ?? "\(parameter.type)"
        }
        return "\(result) \(name)(\(list.joined(separator: ", ")))"
    }
}
