/// A string or a list of strings, as `stop` is.
struct OneOrMany: Decodable, Sendable {
    var all: [String]

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let one = try? container.decode(String.self) { all = [one] } else {
            do { all = try container.decode([String].self) } catch {
                throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "give a string or a list of strings"))
            }
        }
    }
}

/// The text of a message: a string, or a list of parts of type text.
struct Content: Decodable, Sendable {
    var text: String

    private struct Part: Decodable {
        var type: String
        var text: String?
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let one = try? container.decode(String.self) {
            text = one
            return
        }
        guard let parts = try? container.decode([Part].self) else {
            throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "give a string or a list of parts {\"type\": \"text\", \"text\"}"))
        }
        text = try parts.map { part in
            guard part.type == "text" || part.type == "input_text" || part.type == "refusal", let text = part.text else {
                throw DecodingError.dataCorrupted(
                    .init(codingPath: decoder.codingPath, debugDescription: "has a part of type \(part.type.prefix(40)), and this model reads text only; give parts of type text"))
            }
            return text
        }.joined()
    }
}

/// A prompt of `/v1/completions`: text or token ids, one or many.
struct Prompts: Decodable, Sendable {
    var all: [Question.Input]

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let one = try? container.decode(String.self) { all = [.text(one)] }
        else if let ids = try? container.decode([Int32].self), !ids.isEmpty { all = [.tokens(ids)] }
        else if let many = try? container.decode([String].self), !many.isEmpty { all = many.map { .text($0) } }
        else if let many = try? container.decode([[Int32]].self), !many.isEmpty { all = many.map { .tokens($0) } }
        else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "give a string, a list of strings, a list of token ids, or a list of such lists"))
        }
    }
}

/// A whole number. One with a fraction, or out of its range, is refused under its name as a word in its place would be.
struct Whole: Decodable, Sendable {
    var value: Int

    init(from decoder: any Decoder) throws {
        do { value = try decoder.singleValueContainer().decode(Int.self) } catch DecodingError.dataCorrupted {
            throw DecodingError.typeMismatch(Int.self, .init(codingPath: decoder.codingPath, debugDescription: "is no whole number"))
        }
    }
}
