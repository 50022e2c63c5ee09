import Glibc

/// What a child prints, line by line, each bounded, and so many of them at most.
struct OutputLines {
    private var line: [UInt8] = []
    private var told = 0
    private static let limit = 1_000

    /// Reads what is there; false at the end.
    mutating func read(_ descriptor: Int32, _ say: (String) -> Void) -> Bool {
        var room = [UInt8](repeating: 0, count: 4_096)
        let count = Glibc.read(descriptor, &room, room.count)
        guard count > 0 else {
            flush(say)
            return count < 0 && errno == EINTR
        }
        for byte in room[..<count] {
            if byte == 10 { flush(say) } else if line.count < 1_024 { line.append(byte) }
        }
        return true
    }

    private mutating func flush(_ say: (String) -> Void) {
        defer { line.removeAll(keepingCapacity: true) }
        guard !line.isEmpty else { return }
        told += 1
        if told < Self.limit { say(String(decoding: line, as: UTF8.self)) }
        if told == Self.limit { say("and more, which is left out") }
    }
}
