import CDriver
import Synchronization

/// Strings and arrays handed out through the contract: kept once, and never freed, since the host may keep them for ever.
enum Interned {
    private struct Kept: @unchecked Sendable {
        var texts: [String: baton_string] = [:]
        var numbers: [[UInt32]: UnsafePointer<UInt32>] = [:]
    }
    private static let kept = Mutex(Kept())

    static func text(_ text: String) -> baton_string {
        kept.withLock { kept in
            if let found = kept.texts[text] { return found }
            let bytes = Array(text.utf8)
            let room = UnsafeMutablePointer<CChar>.allocate(capacity: max(bytes.count, 1))
            for (index, byte) in bytes.enumerated() { room[index] = CChar(bitPattern: byte) }
            let made = baton_string(data: UnsafePointer(room), length: UInt64(bytes.count))
            kept.texts[text] = made
            return made
        }
    }

    static func numbers(_ numbers: [UInt32]) -> UnsafePointer<UInt32>? {
        guard !numbers.isEmpty else { return nil }
        return kept.withLock { kept in
            if let found = kept.numbers[numbers] { return found }
            let room = UnsafeMutablePointer<UInt32>.allocate(capacity: numbers.count)
            room.initialize(from: numbers, count: numbers.count)
            kept.numbers[numbers] = UnsafePointer(room)
            return UnsafePointer(room)
        }
    }
}
