internal import FoundationEssentials
internal import Hummingbird
internal import NIOCore

/// JSON of this server: snake_case, keys in a fixed order.
enum JSONText {
    static func bytes(_ value: some Encodable, snakeCase: Bool = true) throws -> ByteBuffer {
        let encoder = JSONEncoder()
        if snakeCase { encoder.keyEncodingStrategy = .convertToSnakeCase }
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return ByteBuffer(bytes: try encoder.encode(value))
    }

    /// - Throws: `Refusal` that names the field.
    static func read<T: Decodable>(_ type: T.Type, from body: ByteBuffer) throws(Refusal) -> T {
        do { return try JSONDecoder().decode(type, from: Data(body.readableBytesView)) } catch {
            let wrong = Misreading(error)
            throw Refusal(.invalid, wrong?.words ?? "the body is not valid JSON; send one JSON object in UTF-8", field: wrong?.field)
        }
    }
}
