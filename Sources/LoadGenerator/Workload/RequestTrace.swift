import FoundationEssentials

/// Requests as they once came to a real server, without their text: JSON lines of `timestamp` (milliseconds), `input_length`, `output_length` and
/// `hash_ids`, one for each block of 512 tokens of the prompt; equal ids are equal blocks.
public struct RequestTrace: Sendable, Hashable {
    public struct Entry: Sendable, Hashable, Decodable {
        public var timestamp: Double
        public var input_length: Int
        public var output_length: Int
        public var hash_ids: [UInt64]?
    }

    /// Tokens of a block.
    static let block = 512
    /// The longest prompt or completion that is believed.
    private static let limit = 10_000_000

    public private(set) var entries: [Entry]

    /// Reads at most `count` lines. Empty lines are passed over.
    public init(parsing text: String, count: Int = .max) throws(LoadError) {
        entries = []
        let decoder = JSONDecoder()
        for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() where entries.count < count {
            guard !line.allSatisfy(\.isWhitespace) else { continue }
            guard let entry = try? decoder.decode(Entry.self, from: Data(line.utf8)) else {
                throw LoadError("line \(number + 1) is no request; one is {\"timestamp\": ms, \"input_length\": n, \"output_length\": n, \"hash_ids\": [...]}")
            }
            try Self.check(entry, line: number + 1, after: entries.last?.timestamp ?? 0)
            entries.append(entry)
        }
        guard !entries.isEmpty else { throw LoadError("the trace has no requests; give one JSON object a line") }
    }

    private static func check(_ entry: Entry, line: Int, after last: Double) throws(LoadError) {
        guard entry.timestamp >= last, entry.timestamp < 1e12 else {
            throw LoadError("line \(line): timestamp \(entry.timestamp) comes before the line above; sort the trace by timestamp")
        }
        for (name, length) in [("input_length", entry.input_length), ("output_length", entry.output_length)] {
            guard (1...limit).contains(length) else { throw LoadError("line \(line): \(name) is \(length); it goes from 1 to \(limit)") }
        }
    }

    /// When they go out, in nanoseconds from the first, `speed` times as fast as they once did.
    public func offsets(speed: Double) -> [UInt64] {
        let first = entries.first?.timestamp ?? 0
        return entries.map { UInt64(($0.timestamp - first) * 1e6 / speed) }
    }

    /// The prompt of one: blocks of the same id are the same words; what no id covers is the request's own.
    func prompt(_ index: Int, words: Int, seed: UInt64) -> String {
        let ids = entries[index].hash_ids ?? []
        var parts: [String] = []
        var left = words
        for id in ids where left > 0 {
            parts.append(SyntheticText.text(words: min(left, Self.block), seed: seed ^ 0x626C_6F63_6B, stream: id))
            left -= min(left, Self.block)
        }
        if left > 0 { parts.append(SyntheticText.text(words: left, seed: seed ^ 0x7265_7374, stream: UInt64(index))) }
        return parts.joined(separator: " ")
    }
}
