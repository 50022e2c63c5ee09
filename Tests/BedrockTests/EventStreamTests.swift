import BuildKit
import Foundation
import Testing
@testable import Server

/// Messages of `application/vnd.amazon.eventstream` as others read them.
struct EventStreamTests {
    @Test("the checksum is that of IEEE 802.3")
    func checksum() {
        var crc = CRC32()
        crc.update("123456789".utf8)
        #expect(crc.value == 0xCBF4_3926)
        var parts = CRC32()
        parts.update("1234".utf8)
        parts.update("56789".utf8)
        #expect(parts.value == crc.value)
        #expect(CRC32().value == 0)
    }

    @Test("a message is its lengths, the prelude's checksum, headers, payload and the whole's checksum")
    func layout() {
        let message = EventStreamMessage.event("chunk", Array("{}".utf8))
        let bytes = message.encoded
        let headers = ":event-type".utf8.count + 4 + 5 + ":content-type".utf8.count + 4 + 16 + ":message-type".utf8.count + 4 + 5
        #expect(bytes.count == 12 + headers + 2 + 4)
        #expect(Array(bytes[0..<8]) == [0, 0, 0, UInt8(bytes.count), 0, 0, 0, UInt8(headers)])
        #expect(Array(bytes[12..<14]) == [11, UInt8(ascii: ":")])
        #expect(Array(bytes[24..<27]) == [7, 0, 5])
        for (covered, at) in [(8, 8), (bytes.count - 4, bytes.count - 4)] {
            var crc = CRC32()
            crc.update(bytes[..<covered])
            #expect(bytes[at..<at + 4].reduce(0) { $0 << 8 | UInt32($1) } == crc.value)
        }
    }

    @Test("botocore reads what is written: types, headers, payloads, exceptions", .enabled(if: Boto.isThere, "\(Boto.absence)"))
    func boto() throws {
        let messages = [
            EventStreamMessage.event("messageStart", Array(#"{"role":"assistant"}"#.utf8)),
            .event("contentBlockDelta", Array(#"{"delta":{"text":"é 中 😀"}}"#.utf8)), .event("empty", []),
            .event("large", Array(String(repeating: "x", count: 100_000).utf8)),
            .exception("throttlingException", Array(#"{"message":"wait"}"#.utf8)),
        ]
        let folder = try TemporaryFolder()
        let file = folder.file("frames")
        try Data(messages.flatMap(\.encoded)).write(to: URL(fileURLWithPath: file))
        struct Read: Decodable {
            var headers: [String: String]
            var payload: String
        }
        let read = try JSONDecoder().decode([Read].self, from: Boto.script("frames.py", file))
        #expect(read.count == messages.count)
        for (one, message) in zip(read, messages) {
            #expect(one.headers == Dictionary(uniqueKeysWithValues: message.headers.map { ($0.name, $0.value) }))
            #expect(one.payload == String(decoding: message.payload, as: UTF8.self))
        }
        #expect(read[0].headers[":event-type"] == "messageStart")
        #expect(read[4].headers[":message-type"] == "exception")
    }
}
