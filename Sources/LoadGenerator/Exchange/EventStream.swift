/// Takes server-sent events out of bytes as they come. A value; bytes from outside, so an event has a most.
public struct EventStream: Sendable {
    /// Bytes of an event at most.
    static let limit = 1 << 20
    private var line: [UInt8] = []
    private var data: [UInt8] = []
    private var hasData = false
    private var skipsLineFeed = false

    public init() {}

    /// The payloads of the events that end within `bytes`. Lines that carry no data are passed over.
    public mutating func take(_ bytes: some Sequence<UInt8>) throws(LoadFailure) -> [[UInt8]] {
        var events: [[UInt8]] = []
        for byte in bytes {
            if skipsLineFeed, byte == 0x0A {
                skipsLineFeed = false
                continue
            }
            skipsLineFeed = byte == 0x0D
            guard byte == 0x0A || byte == 0x0D else {
                guard line.count + data.count < Self.limit else { throw .malformed }
                line.append(byte)
                continue
            }
            if let event = endLine() { events.append(event) }
        }
        return events
    }

    private mutating func endLine() -> [UInt8]? {
        defer { line.removeAll(keepingCapacity: true) }
        guard !line.isEmpty else {
            defer { (data, hasData) = ([], false) }
            return hasData ? data : nil
        }
        let prefix = Array("data:".utf8)
        guard line.starts(with: prefix) else { return nil }
        if hasData { data.append(0x0A) }
        hasData = true
        data += line.dropFirst(prefix.count + (line.count > prefix.count && line[prefix.count] == 0x20 ? 1 : 0))
        return nil
    }
}
