// SPDX-License-Identifier: Apache-2.0

/// Where in the pipeline a foreign stage is called, and so which signature its function has: these types exactly, with any names. An untyped `ptr`
/// does not stand for a `T*`, since nothing would then say that the function reads what it is given.
///
/// | hook | signature | result |
/// |---|---|---|
/// | `tokenize` | `i64 f(u8* text, u64 length, i32* ids, u64 capacity)` | ids written, or negative for a failure; replaces the tokenizer |
/// | `text_in` | `i32 f(u8* text, u64 length)` | nonzero refuses the prompt |
/// | `text_out` | `i32 f(u8* text, u64 length)` | nonzero refuses the generated text |
/// | `logits` | `i32 f(f32* logits, u64 count, i32* history, u64 history_count)` | negative fails the request; changes `logits` in place |
///
/// What the pointers point to belongs to Baton and is good until the function returns.
public enum ForeignHook: String, Hashable, Sendable, CaseIterable {
    case tokenize
    case textIn = "text_in"
    case textOut = "text_out"
    case logits

    /// What the function's signature must be, but for the names.
    public var signature: StageSignature {
        switch self {
        case .tokenize:
            StageSignature(
                returnType: .i64, name: "f",
                parameters: [.init(.pointer(.u8), "text"), .init(.u64, "length"), .init(.pointer(.i32), "ids"), .init(.u64, "capacity")])
        case .textIn, .textOut:
            StageSignature(returnType: .i32, name: "f", parameters: [.init(.pointer(.u8), "text"), .init(.u64, "length")])
        case .logits:
            StageSignature(
                returnType: .i32, name: "f",
                parameters: [
                    .init(.pointer(.f32), "logits"), .init(.u64, "count"), .init(.pointer(.i32), "history"), .init(.u64, "history_count"),
                ])
        }
    }

    /// Nil when `declared` is what the hook calls, else how it differs.
    func difference(from declared: StageSignature) -> String? {
        let wanted = signature
        guard declared.parameters.count == wanted.parameters.count else {
            return "it has \(declared.parameters.count) parameters instead of \(wanted.parameters.count)"
        }
        for (index, pair) in zip(declared.parameters, wanted.parameters).enumerated() where pair.0.type != pair.1.type {
            return "parameter \(index + 1) is \(pair.0.type) instead of \(pair.1.type)"
        }
        return declared.returnType == wanted.returnType ? nil : "it returns \(declared.returnType) instead of \(wanted.returnType)"
    }
}
