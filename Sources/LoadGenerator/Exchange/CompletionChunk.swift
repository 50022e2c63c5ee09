import FoundationEssentials

/// What a stream's event says, of what is counted: text, why it ended, usage, an error.
struct CompletionChunk: Decodable {
    struct Delta: Decodable {
        var content: String?
        var reasoning_content: String?
    }
    struct Choice: Decodable {
        var text: String?
        var delta: Delta?
        var finish_reason: String?
    }
    struct Usage: Decodable {
        struct Details: Decodable { var cached_tokens: Int? }
        var prompt_tokens: Int?
        var completion_tokens: Int?
        var prompt_tokens_details: Details?
    }
    /// As OpenAI has it; others give a bare string.
    struct Problem: Decodable {
        var code = ""

        private enum Keys: CodingKey { case code, type }

        init(from decoder: any Decoder) throws {
            guard let fields = try? decoder.container(keyedBy: Keys.self) else { return }
            for key in [Keys.code, .type] {
                if let text = try? fields.decode(String.self, forKey: key), !text.isEmpty {
                    code = String(text.prefix(64))
                    return
                }
            }
        }
    }
    var choices: [Choice]?
    var usage: Usage?
    var error: Problem?

    var hasText: Bool {
        (choices ?? []).contains { choice in
            [choice.text, choice.delta?.content, choice.delta?.reasoning_content].contains { $0?.isEmpty == false }
        }
    }

    var isEnd: Bool { (choices ?? []).contains { $0.finish_reason != nil } }

    static func parse(_ bytes: [UInt8]) -> CompletionChunk? { try? JSONDecoder().decode(Self.self, from: Data(bytes)) }
}
