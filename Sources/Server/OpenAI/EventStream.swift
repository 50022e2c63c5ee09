internal import Hummingbird
internal import NIOCore

/// Server-sent events, one JSON text each.
struct EventStream {
    private var writer: any ResponseBodyWriter

    init(_ writer: any ResponseBodyWriter) { self.writer = writer }

    mutating func send(_ value: some Encodable) async throws {
        var event = ByteBuffer(string: "data: ")
        event.writeImmutableBuffer(try JSONText.bytes(value))
        event.writeString("\n\n")
        try await writer.write(event)
    }

    /// OpenAI's last event.
    mutating func finish() async throws {
        try await writer.write(ByteBuffer(string: "data: [DONE]\n\n"))
        try await writer.finish(nil)
    }
}
