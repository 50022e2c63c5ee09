import Synchronization

/// Spans of a run, for Chrome's trace-event format (opens in Perfetto). Wall times and modelled times are two processes of the
/// trace, so that they are never read as one. Any thread may add.
public final class Trace: Sendable {
    public enum Category: String, Sendable {
        case host, stage, driver, handoff
    }
    private struct Span {
        var name: String
        var lane: String
        var modelled: Bool
        var start: UInt64
        var end: UInt64
        var arguments: [(String, String)]
    }
    private let spans = Mutex<[Span]>([])

    public init() {}

    /// A span on the wall clock, nanoseconds.
    func span(_ name: String, _ lane: Category, from start: UInt64, to end: UInt64, arguments: [(String, String)] = []) {
        spans.withLock { $0.append(Span(name: name, lane: lane.rawValue, modelled: false, start: start, end: end, arguments: arguments)) }
    }

    /// A span on a device's modelled clock.
    func modelled(_ name: String, device: String, from start: UInt64, to end: UInt64, arguments: [(String, String)] = []) {
        spans.withLock { $0.append(Span(name: name, lane: device, modelled: true, start: start, end: end, arguments: arguments)) }
    }

    /// Spans of a name and lane on the wall clock, in the order they were added, nanoseconds.
    package func wallSpans(named name: String, in lane: String) -> [(start: UInt64, end: UInt64)] {
        spans.withLock { $0.filter { !$0.modelled && $0.name == name && $0.lane == lane }.map { ($0.start, $0.end) } }
    }

    /// The trace as one JSON object.
    public func json() -> String {
        let all = spans.withLock { $0 }
        let lanes = Dictionary(uniqueKeysWithValues: Set(all.map { Lane($0) }).sorted { $0.key < $1.key }.enumerated().map { ($1, $0 + 1) })
        var events = ["wall clock", "modelled clock (device models)"].enumerated().map { index, name in
            #"{"name":"process_name","ph":"M","pid":\#(index + 1),"args":{"name":\#(Self.quoted(name))}}"#
        }
        for (lane, thread) in lanes.sorted(by: { $0.value < $1.value }) {
            events.append(
                #"{"name":"thread_name","ph":"M","pid":\#(lane.modelled ? 2 : 1),"tid":\#(thread),"args":{"name":\#(Self.quoted(lane.name))}}"#)
        }
        for span in all {
            let arguments = span.arguments.map { "\(Self.quoted($0.0)):\(Self.quoted($0.1))" }.joined(separator: ",")
            events.append(
                #"{"name":\#(Self.quoted(span.name)),"cat":\#(Self.quoted(span.lane)),"ph":"X","ts":\#(Self.micros(span.start)),"dur":\#(Self.micros(span.end &- span.start)),"pid":\#(span.modelled ? 2 : 1),"tid":\#(lanes[Lane(span)] ?? 0),"args":{\#(arguments)}}"#)
        }
        return "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n\(events.joined(separator: ",\n"))\n]}\n"
    }

    private struct Lane: Hashable {
        var name: String
        var modelled: Bool
        var key: String { "\(modelled)\(name)" }
        init(_ span: Span) {
            name = span.lane
            modelled = span.modelled
        }
    }

    private static func micros(_ nanoseconds: UInt64) -> String {
        let fraction = String(nanoseconds % 1000)
        return "\(nanoseconds / 1000).\(String(repeating: "0", count: 3 - fraction.count))\(fraction)"
    }

    /// A JSON string.
    static func quoted(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case let control where control.value < 0x20:
                let digits = String(control.value, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }
}
