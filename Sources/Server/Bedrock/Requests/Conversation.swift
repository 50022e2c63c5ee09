internal import Tokens

/// The turns of `converse`: `system` and `messages`, which begin and end with the user and alternate.
struct Conversation: Decodable, Sendable {
    /// The system's first, where there is one.
    let turns: [ChatMessage]

    private enum Keys: String, CodingKey { case system, messages }
    private enum Role: String, CaseIterable { case user, assistant }

    private struct Message: Decodable {
        var role: Role
        var text: String

        private enum Keys: String, CodingKey { case role, content }

        init(from decoder: any Decoder) throws {
            let fields = try decoder.container(keyedBy: Keys.self)
            guard let role = try fields.word(Role.self, .role) else { throw fields.wrong(.role, "is missing; give \(Role.words)") }
            self.role = role
            let blocks = try fields.decode([TextBlock].self, forKey: .content)
            guard !blocks.isEmpty else { throw fields.wrong(.content, "is empty; give at least one block") }
            text = blocks.map(\.text).joined()
        }
    }

    init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: Keys.self)
        let system = try fields.decodeIfPresent([TextBlock].self, forKey: .system) ?? []
        let messages = try fields.decode([Message].self, forKey: .messages)
        guard messages.first?.role == .user, messages.last?.role == .user else {
            throw fields.wrong(.messages, "must begin and end with a message of the user; add one")
        }
        guard zip(messages, messages.dropFirst()).allSatisfy({ $0.role != $1.role }) else {
            throw fields.wrong(.messages, "must alternate between user and assistant; join messages of one role")
        }
        let first = system.isEmpty ? [] : [ChatMessage(role: "system", content: system.map(\.text).joined())]
        turns = first + messages.map { ChatMessage(role: $0.role.rawValue, content: $0.text) }
    }
}
