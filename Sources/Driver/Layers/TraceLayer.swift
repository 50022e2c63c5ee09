import CDriver
import Glibc
import Synchronization

/// Every call with its start, duration, thread, arguments in short and result, into a file, in the order in which calls end. Wall times alone.
///
/// `file`: where to; else BATON_TRACE_FILE, else `baton-trace.json`. A name that ends in `.jsonl` gets one object a line; any other gets Chrome's trace-event format
/// (Perfetto opens it). Devices that name one file share it.
final class TraceLayer: Layer {
    private let file: TraceFile
    private let place: LayerPlace

    init(_ name: LayerName, _ place: LayerPlace) throws(DriverError) {
        let parameters = try LayerParameters(name, place, known: ["file"])
        let path = parameters.text("file") ?? getenv("BATON_TRACE_FILE").map { String(cString: $0) } ?? "baton-trace.json"
        try LayerFile.check(path, parameters)
        file = TraceFile.at(path)
        self.place = place
    }

    func around(_ call: Call, _ next: NextLayer) -> baton_code {
        let text = call.text
        let start = DriverClock.now
        let code = next(call)
        let end = DriverClock.now
        let result = code == 0 ? "OK" : "\(DriverError.Code(rawValue: code)): \(call.words)"
        file.add(
            TraceFile.Span(call: call.name.rawValue, device: place.device, driver: place.driver, start: start, end: end, arguments: text, result: result))
        if call.name == .close { file.flush() }
        return code
    }
}

/// A file of calls that layers of several devices write to. Never closed; flushed when a device closes, and now and then.
final class TraceFile: Sendable {
    struct Span {
        var call, device, driver: String
        var start, end: UInt64
        var arguments, result: String
    }
    private struct State {
        var bytes: [UInt8]
        var threads: [UInt: Int] = [:]
        var isOpen = false
    }
    private static let files = Mutex<[String: TraceFile]>([:])
    private static let piece = 1 << 16
    private let file: LayerFile
    private let isLines: Bool
    private let state: Mutex<State>

    static func at(_ path: String) -> TraceFile {
        files.withLock { files in
            let file = files[path] ?? TraceFile(path)
            files[path] = file
            return file
        }
    }

    private init(_ path: String) {
        file = LayerFile(path)
        isLines = path.hasSuffix(".jsonl")
        // The array's end may be left out in this format, so that a trace that was cut off is still one.
        state = Mutex(State(bytes: isLines ? [] : Array("[\n{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":1,\"args\":{\"name\":\"wall clock\"}}".utf8)))
    }

    /// Nothing is written before a device is opened: what only asks leaves an older trace alone.
    func add(_ span: Span) {
        let thread = UInt(pthread_self())
        state.withLock { state in
            let number = state.threads[thread] ?? state.threads.count + 1
            state.threads[thread] = number
            state.bytes += Array((isLines ? Self.line(span, number) : Self.event(span, number)).utf8)
            if span.call == CallName.open.rawValue { state.isOpen = true }
            if state.isOpen, state.bytes.count >= Self.piece { write(&state.bytes) }
        }
    }

    func flush() { state.withLock { write(&$0.bytes) } }

    private func write(_ bytes: inout [UInt8]) {
        file.append(bytes)
        bytes.removeAll(keepingCapacity: true)
    }

    private static func event(_ span: Span, _ thread: Int) -> String {
        #",\#n{"name":\#(quoted(span.call)),"cat":"driver","ph":"X","ts":\#(micros(span.start)),"dur":\#(micros(span.end &- span.start)),"pid":1,"tid":\#(thread),"args":{"device":\#(quoted(span.device)),"driver":\#(quoted(span.driver)),"arguments":\#(quoted(span.arguments)),"result":\#(quoted(span.result))}}"#
    }

    private static func line(_ span: Span, _ thread: Int) -> String {
        #"{"call":\#(quoted(span.call)),"device":\#(quoted(span.device)),"driver":\#(quoted(span.driver)),"clock":"wall","start_ns":\#(span.start),"end_ns":\#(span.end),"thread":\#(thread),"arguments":\#(quoted(span.arguments)),"result":\#(quoted(span.result))}\#n"#
    }

    private static func micros(_ nanoseconds: UInt64) -> String {
        let fraction = String(nanoseconds % 1000)
        return "\(nanoseconds / 1000).\(String(repeating: "0", count: 3 - fraction.count))\(fraction)"
    }

    /// A JSON string.
    private static func quoted(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case _ where scalar.value < 0x20: out += " "
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }
}
