/// A block of content, of which this model reads text alone; others are refused by name.
struct TextBlock: Decodable, Sendable {
    let text: String

    init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: AnyKey.self)
        let names = try fields.allKeys.filter { try !fields.isNil($0) }.map(\.stringValue).sorted()
        guard names.count <= 1 else { throw fields.wrong(AnyKey(names[1]), "stands beside \(names[0].prefix(40)) in one block; give each a block of its own") }
        guard let name = names.first else { throw Self.wrong(decoder, "is empty; give a block {\"text\": ...}") }
        guard name == "text" else { throw Self.wrong(decoder, "is a block of \(name.prefix(40)), and this model reads text only; give {\"text\": ...}") }
        text = try fields.decode(String.self, forKey: AnyKey(name))
        guard text.contains(where: { !$0.isWhitespace }) else { throw fields.wrong(AnyKey(name), "is blank; write something") }
    }

    private static func wrong(_ decoder: any Decoder, _ words: String) -> DecodingError {
        DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: words))
    }
}
