/// What is wrong with JSON that could not be read: which field, and what it should be.
struct Misreading {
    /// As the client wrote it, `messages[0].content`; nil when the text is no JSON.
    let field: String?
    let words: String

    /// Nil for what is no error of decoding.
    init?(_ error: any Error) {
        guard let error = error as? DecodingError else { return nil }
        switch error {
        case .typeMismatch(let type, let context):
            field = Self.path(context.codingPath)
            words = "\(field ?? "the body") is not \(Self.name(type)); give it so, or leave it out"
        case .valueNotFound(let type, let context):
            field = Self.path(context.codingPath)
            words = "\(field ?? "the body") is null; give \(Self.name(type))"
        case .keyNotFound(let key, let context):
            field = Self.path(context.codingPath + [key])
            words = "\(field ?? key.stringValue) is missing; give it"
        case .dataCorrupted(let context):
            field = Self.path(context.codingPath)
            words = field.map { "\($0): \(context.debugDescription)" } ?? "the body is not valid JSON; send one JSON object in UTF-8"
        @unknown default:
            field = nil
            words = "the body cannot be read; send one JSON object"
        }
    }

    private static func path(_ keys: [any CodingKey]) -> String? {
        guard !keys.isEmpty else { return nil }
        return keys.reduce("") { text, key in
            if let index = key.intValue { return text + "[\(index)]" }
            return text.isEmpty ? key.stringValue : text + "." + key.stringValue
        }
    }

    private static func name(_ type: any Any.Type) -> String {
        let name = "\(type)"
        if name.hasPrefix("Array") { return "a list" }
        if name.hasPrefix("Dictionary") { return "an object" }
        return switch name {
        case "String": "a string"
        case "Int", "Int32", "UInt64", "Int64": "a whole number in its range"
        case "Double", "Float": "a number"
        case "Bool": "true or false"
        default: "an object"
        }
    }
}
