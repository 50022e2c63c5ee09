/// One message of `application/vnd.amazon.eventstream`: headers, which are strings, and a payload.
///
/// On the wire, big-endian: total length, length of the headers, CRC of these eight bytes; headers, each the length of its name, the
/// name, a type (7, string), the length of its value, the value; the payload; the CRC of all before it.
struct EventStreamMessage: Sendable, Equatable {
    static let contentType = "application/vnd.amazon.eventstream"
    private static let preludeBytes = 12
    private static let stringType: UInt8 = 7

    struct Header: Sendable, Equatable {
        var name: String
        var value: String
    }

    let headers: [Header]
    let payload: [UInt8]

    /// Something that happened; the payload is JSON.
    static func event(_ type: String, _ payload: [UInt8]) -> EventStreamMessage {
        EventStreamMessage(kind: "event", name: ":event-type", type, payload)
    }

    /// What the stream ends with when it fails; the payload is JSON.
    static func exception(_ type: String, _ payload: [UInt8]) -> EventStreamMessage {
        EventStreamMessage(kind: "exception", name: ":exception-type", type, payload)
    }

    private init(kind: String, name: String, _ type: String, _ payload: [UInt8]) {
        headers = [
            Header(name: name, value: type), Header(name: ":content-type", value: "application/json"), Header(name: ":message-type", value: kind),
        ]
        self.payload = payload
    }

    /// The bytes of the message.
    var encoded: [UInt8] {
        let fields = headers.flatMap(Self.encode)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.preludeBytes + fields.count + payload.count + 4)
        bytes += Self.bigEndian(UInt32(Self.preludeBytes + fields.count + payload.count + 4))
        bytes += Self.bigEndian(UInt32(fields.count))
        var crc = CRC32()
        crc.update(bytes)
        let prelude = Self.bigEndian(crc.value)
        crc.update(prelude)
        crc.update(fields)
        crc.update(payload)
        return bytes + prelude + fields + payload + Self.bigEndian(crc.value)
    }

    /// Names and values are the dialect's own words, far shorter than what their lengths can say; what is longer is cut.
    private static func encode(_ header: Header) -> [UInt8] {
        let name = header.name.utf8.prefix(Int(UInt8.max)), value = header.value.utf8.prefix(Int(Int16.max))
        return [UInt8(name.count)] + name + [stringType] + bigEndian(UInt16(value.count)) + value
    }

    private static func bigEndian(_ value: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: value.bigEndian) { Array($0) }
    }
}
