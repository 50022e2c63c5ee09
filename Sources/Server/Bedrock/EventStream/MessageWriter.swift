internal import Hummingbird
internal import NIOCore

/// Writes messages of an event stream as a response's body.
struct MessageWriter {
    private var writer: any ResponseBodyWriter

    init(_ writer: any ResponseBodyWriter) { self.writer = writer }

    mutating func send(_ messages: [EventStreamMessage]) async throws {
        guard !messages.isEmpty else { return }
        try await writer.write(ByteBuffer(bytes: messages.flatMap(\.encoded)))
    }

    mutating func finish() async throws { try await writer.finish(nil) }
}
