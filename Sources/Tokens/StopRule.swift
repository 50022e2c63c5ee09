/// Why a completion ended.
public enum FinishReason: String, Sendable, Hashable {
    /// An end token, or a stop string.
    case stop
    /// The most tokens asked for, or that the context holds.
    case length
}

/// Decides when a completion ends, and holds back text that may turn out to be the beginning of a stop string.
/// What it emits never contains a stop string nor anything after one.
public struct StopRule: Sendable {
    private let strings: [[UInt8]]
    private let ends: Set<Int32>
    private let maxTokens: Int
    private var held: [UInt8] = []
    private var count = 0

    /// Empty strings are ignored.
    public init(strings: [String], ends: Set<Int32>, maxTokens: Int) {
        self.strings = strings.map { Array($0.utf8) }.filter { !$0.isEmpty }
        self.ends = ends
        self.maxTokens = maxTokens
    }

    /// Takes a token and the text it completed. Gives the text that is certain, and why the completion ended, if it did;
    /// then nothing is held any more.
    public mutating func take(token: Int32, text: String) -> (emit: String, finish: FinishReason?) {
        count += 1
        if ends.contains(token) { return (flush(), .stop) }
        held += Array(text.utf8)
        if let match = earliestMatch() {
            held.removeLast(held.count - match)
            return (flush(), .stop)
        }
        if count >= maxTokens { return ("", .length) }
        return (release(held.count - longestOverlap()), nil)
    }

    /// More text after the last token, as the stream gives when it ends; then what is held.
    public mutating func finish(_ text: String) -> String {
        held += Array(text.utf8)
        if let match = earliestMatch() { held.removeLast(held.count - match) }
        return flush()
    }

    private mutating func flush() -> String { release(held.count) }

    private mutating func release(_ bytes: Int) -> String {
        defer { held.removeFirst(bytes) }
        return String(decoding: held[..<bytes], as: UTF8.self)
    }

    private func earliestMatch() -> Int? {
        strings.compactMap { string in
            held.count < string.count ? nil : (0...(held.count - string.count)).first { held[$0..<$0 + string.count].elementsEqual(string) }
        }.min()
    }

    /// The longest end of what is held that begins a stop string; it ends at a character since stop strings begin with one.
    private func longestOverlap() -> Int {
        strings.map { string in
            (1..<max(string.count, 1)).last { $0 <= held.count && held.suffix($0).elementsEqual(string.prefix($0)) } ?? 0
        }.max() ?? 0
    }
}
