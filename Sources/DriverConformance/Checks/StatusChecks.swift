import CDriver

extension Checks {
    /// D1
    static func failuresHaveWords(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        let timeline = try bench.timeline(5)
        defer { bench.release(timeline: timeline) }
        let signal = try slot(subject.timeline.signal, "timeline.signal")
        let answer = ask { signal(bench.device, timeline, 5, $0) }
        try require(!answer.isOK, "signal of a value that is reached already gave OK")
        try require((1...16).contains(answer.code), "signal of a value that is reached already gave code \(answer.code), which status.h does not name")
        try require(!answer.words.isEmpty, "signal of a value that is reached already failed without words")
        try require(!answer.words.contains("\n"), "the words of a failure are more than one line: \(answer.words)")
        return Note("\"\(answer.words.prefix(80))\"")
    }

    /// D2
    static func statusMayBeShort(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        let allocate = try slot(subject.buffer.allocate, "buffer.allocate")
        var out: OpaquePointer?
        let code = allocate(bench.device, 0, &out, nil)
        try require(code != 0, "allocate of 0 bytes gave OK")
        var room = [UInt8](repeating: 0xC3, count: MemoryLayout<baton_status>.size)
        let whole = 16
        room.withUnsafeMutableBytes { bytes in
            bytes.storeBytes(of: UInt32(whole), as: UInt32.self)
            _ = allocate(bench.device, 0, &out, bytes.baseAddress?.assumingMemoryBound(to: baton_status.self))
        }
        let spoiled = room[whole...].firstIndex { $0 != 0xC3 }
        try require(spoiled == nil, "a status that states \(whole) bytes was written at byte \(spoiled ?? 0)")
        return ""
    }
}
