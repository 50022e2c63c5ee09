import CDriver

/// An open device of the driver under test, with the calls that most checks make. Quiesced and closed when it goes, unless a check did so.
final class Bench: @unchecked Sendable {
    let subject: Subject
    let device: OpaquePointer
    let info: baton_device_info
    private var open = true
    /// How long any one piece of work may take.
    static let patience: UInt64 = 20_000_000_000

    init(_ subject: Subject, _ more: [(String, String)] = []) throws {
        self.subject = subject
        let opener = try slot(subject.device.open, "device.open")
        var handle: OpaquePointer?
        try call("open") { status in subject.withOptions(more) { opener($0, &handle, status) } }
        guard let handle else { throw Broken("open said OK and gave no device") }
        device = handle
        let read = try slot(subject.device.info, "device.info")
        var info = baton_device_info.sized()
        try call("info") { read(handle, &info, $0) }
        self.info = info
    }

    deinit {
        guard open else { return }
        _ = subject.device.quiesce?(device, Self.patience, nil)
        subject.device.close?(device)
    }

    func quiesce(_ timeout: UInt64 = Bench.patience) throws -> Answer {
        let quiesce = try slot(subject.device.quiesce, "device.quiesce")
        return ask { quiesce(device, timeout, $0) }
    }

    /// Closes the device; the bench must not be used after it.
    func close() throws {
        let close = try slot(subject.device.close, "device.close")
        open = false
        close(device)
    }

    // Buffers.

    func allocate(_ bytes: UInt64) throws -> OpaquePointer {
        let allocate = try slot(subject.buffer.allocate, "buffer.allocate")
        var out: OpaquePointer?
        try call("allocate of \(bytes) bytes") { allocate(device, bytes, &out, $0) }
        guard let out else { throw Broken("allocate said OK and gave no buffer") }
        return out
    }

    func release(_ buffer: OpaquePointer?) { subject.buffer.release?(device, buffer) }

    func write(_ buffer: OpaquePointer, _ bytes: [UInt8], at offset: UInt64 = 0) throws {
        let write = try slot(subject.buffer.write, "buffer.write")
        try call("write of \(bytes.count) bytes") { write(device, buffer, offset, bytes, UInt64(bytes.count), $0) }
    }

    func read(_ buffer: OpaquePointer, _ count: Int, at offset: UInt64 = 0) throws -> [UInt8] {
        let read = try slot(subject.buffer.read, "buffer.read")
        var bytes = [UInt8](repeating: 0xA5, count: count)
        try call("read of \(count) bytes") { read(device, buffer, offset, &bytes, UInt64(count), $0) }
        return bytes
    }

    func write(_ buffer: OpaquePointer, floats: [Float]) throws { try write(buffer, floats.withUnsafeBytes { Array($0) }) }

    func floats(_ buffer: OpaquePointer, _ count: Int, at offset: UInt64 = 0) throws -> [Float] {
        guard count > 0 else { return [] }
        let bytes = try read(buffer, count * 4, at: offset)
        return bytes.withUnsafeBytes { raw in (0..<count).map { raw.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) } }
    }

    // Timelines.

    func timeline(_ value: UInt64 = 0) throws -> OpaquePointer {
        let create = try slot(subject.timeline.create, "timeline.create")
        var out: OpaquePointer?
        try call("timeline create") { create(device, value, &out, $0) }
        guard let out else { throw Broken("timeline create said OK and gave no timeline") }
        return out
    }

    func release(timeline: OpaquePointer?) { subject.timeline.release?(device, timeline) }

    func signal(_ timeline: OpaquePointer, _ value: UInt64) throws {
        let signal = try slot(subject.timeline.signal, "timeline.signal")
        try call("signal of \(value)") { signal(device, timeline, value, $0) }
    }

    func wait(_ timeline: OpaquePointer, _ value: UInt64, _ timeout: UInt64 = Bench.patience) throws -> (answer: Answer, event: baton_event) {
        let wait = try slot(subject.timeline.wait, "timeline.wait")
        var event = baton_event.sized()
        let answer = ask { wait(device, timeline, value, timeout, &event, $0) }
        return (answer, event)
    }

    @discardableResult
    func finish(_ timeline: OpaquePointer, _ value: UInt64 = 1, _ what: String = "the work") throws -> baton_event {
        let (answer, event) = try wait(timeline, value)
        try require(answer.isOK, "\(what) ended with \(answer.text)")
        return event
    }

    func query(_ timeline: OpaquePointer, _ value: UInt64) throws -> (answer: Answer, event: baton_event) {
        let query = try slot(subject.timeline.query, "timeline.query")
        var event = baton_event.sized()
        let answer = ask { query(device, timeline, value, &event, $0) }
        return (answer, event)
    }

    func fail(_ timeline: OpaquePointer, _ code: baton_code, _ words: String) throws {
        let fail = try slot(subject.timeline.fail, "timeline.fail")
        var reason = baton_status.sized()
        reason.code = code
        let text = Array(words.utf8)
        withUnsafeMutableBytes(of: &reason.message) { $0.copyBytes(from: text) }
        reason.message_length = UInt32(text.count)
        try call("timeline fail") { fail(device, timeline, &reason, $0) }
    }
}

/// What queued work waits for and signals.
struct Order {
    var waits: [(OpaquePointer, UInt64)] = []
    var signals: [(OpaquePointer, UInt64)] = []
    var queue: UInt32 = 0
    var layers: (OpaquePointer, UInt64)?

    init(signal: OpaquePointer, _ value: UInt64 = 1, queue: UInt32 = 0) {
        signals = [(signal, value)]
        self.queue = queue
    }

    func lend<R>(_ body: (UnsafePointer<baton_sync>) throws -> R) rethrows -> R {
        let waits = waits.map { baton_point(timeline: $0.0, value: $0.1) }
        let signals = signals.map { baton_point(timeline: $0.0, value: $0.1) }
        return try waits.withUnsafeBufferPointer { waits in
            try signals.withUnsafeBufferPointer { signals in
                var sync = baton_sync.sized()
                sync.wait_count = UInt32(waits.count)
                sync.waits = waits.baseAddress
                sync.signal_count = UInt32(signals.count)
                sync.signals = signals.baseAddress
                sync.queue = queue
                sync.layer_timeline = layers?.0
                sync.layer_base = layers?.1 ?? 0
                return try body(&sync)
            }
        }
    }
}
