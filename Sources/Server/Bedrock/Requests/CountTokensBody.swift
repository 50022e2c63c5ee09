internal import FoundationEssentials
internal import NIOCore

/// The body of `count-tokens`: what would be sent to `converse`, or, in base64, to `invoke`.
struct CountTokensBody: Decodable, Sendable {
    let input: Question.Input

    private enum Keys: String, CodingKey { case input }
    private enum InputKeys: String, CodingKey { case invokeModel, converse }
    private enum BodyKeys: String, CodingKey { case body }

    init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: Keys.self)
        let one = try fields.nestedContainer(keyedBy: InputKeys.self, forKey: .input)
        switch (try one.isNil(.invokeModel), try one.isNil(.converse)) {
        case (true, false): input = .chat(try one.decode(Conversation.self, forKey: .converse).turns)
        case (false, true):
            let inner = try one.nestedContainer(keyedBy: BodyKeys.self, forKey: .invokeModel)
            input = .text(try Self.prompt(of: inner))
        default: throw fields.wrong(.input, "must hold either invokeModel or converse; give one of them")
        }
    }

    private static func prompt(of fields: KeyedDecodingContainer<BodyKeys>) throws -> String {
        let text = try fields.decode(String.self, forKey: .body)
        guard let body = Data(base64Encoded: text) else { throw fields.wrong(.body, "is not base64; encode the body of invoke so") }
        do throws(Refusal) { return try JSONText.read(InvokeBody.self, from: ByteBuffer(bytes: body)).prompt } catch {
            throw fields.wrong(.body, "holds what invoke does not take: \(error.words)")
        }
    }
}
