package import CDriver

/// A timeline having reached a value, or having failed.
public struct Event: Sendable, Hashable {
    public var value: UInt64
    public var clock: Clock
    /// When the work that signalled the value began and ended, nanoseconds on `clock`.
    public var start: UInt64
    public var end: UInt64
    public var nanoseconds: UInt64 { end >= start ? end - start : 0 }

    init(_ raw: baton_event) {
        value = raw.value
        clock = Clock(raw.clock)
        start = raw.start_ns
        end = raw.end_ns
    }
}

/// A counter that only rises, on a device. Owned once; released when it goes, after the work that names it has ended.
public struct Timeline: ~Copyable, @unchecked Sendable {
    public let device: Device
    let handle: OpaquePointer

    public init(on device: Device, value: UInt64 = 0) throws(DriverError) {
        let create = try slot(device.library.timeline.create, device.library.name, "timeline create")
        var handle: OpaquePointer?
        try contractCall(device.library.name, "timeline create") { create(device.handle, value, &handle, $0) }
        let made = try given(handle, device, "timeline create")
        self.device = device
        self.handle = made
    }

    /// The event of `value`, or of the highest value reached. Throws the timeline's failure. Does not block.
    public borrowing func query(_ value: UInt64) throws(DriverError) -> Event {
        let query = try slot(device.library.timeline.query, device.library.name, "query")
        var event = baton_event.sized()
        try contractCall(device.library.name, "query") { query(device.handle, handle, value, &event, $0) }
        return Event(event)
    }

    /// Blocks until `value` is reached, up to `timeout` nanoseconds. Throws the timeline's failure, or deadlineExceeded.
    @discardableResult
    public borrowing func wait(_ value: UInt64, timeout: UInt64 = .max) throws(DriverError) -> Event {
        let wait = try slot(device.library.timeline.wait, device.library.name, "wait")
        var event = baton_event.sized()
        try contractCall(device.library.name, "wait") { wait(device.handle, handle, value, timeout, &event, $0) }
        return Event(event)
    }

    /// Reaches `value` from the host.
    public borrowing func signal(_ value: UInt64) throws(DriverError) {
        let signal = try slot(device.library.timeline.signal, device.library.name, "signal")
        try contractCall(device.library.name, "signal") { signal(device.handle, handle, value, $0) }
    }

    /// Fails the timeline for good; work that waits on it is dropped.
    public borrowing func fail(_ reason: DriverError) throws(DriverError) {
        let fail = try slot(device.library.timeline.fail, device.library.name, "fail")
        var status = baton_status()
        status.size = UInt32(MemoryLayout<baton_status>.size)
        reason.write(to: &status)
        try contractCall(device.library.name, "fail") { fail(device.handle, handle, &status, $0) }
    }

    /// Lends the table and the handles that calls go to, to measure what a call costs without this type.
    package borrowing func withContract<R>(_ body: (UnsafePointer<baton_timeline_table>, OpaquePointer, OpaquePointer) -> R) -> R {
        withUnsafePointer(to: device.library.timeline) { body($0, device.handle, handle) }
    }

    deinit { device.library.timeline.release?(device.handle, handle) }
}

/// What queued work waits for and signals. Points at timelines of one device's driver; they must outlive the work.
public struct Sync: @unchecked Sendable {
    var waits: [baton_point] = []
    var signals: [baton_point] = []
    var layers: baton_point?
    /// Which queue of the device.
    public var queue: Int

    public init(queue: Int = 0) { self.queue = queue }

    /// Work starts once `timeline` has reached `value`.
    public mutating func wait(for timeline: borrowing Timeline, _ value: UInt64) {
        waits.append(baton_point(timeline: timeline.handle, value: value))
    }

    /// `timeline` reaches `value` when the work has finished.
    public mutating func signal(_ timeline: borrowing Timeline, _ value: UInt64) {
        signals.append(baton_point(timeline: timeline.handle, value: value))
    }

    /// `timeline` reaches `base + i + 1` as soon as the KV of the program's i-th layer is complete.
    public mutating func signalLayers(_ timeline: borrowing Timeline, base: UInt64) {
        layers = baton_point(timeline: timeline.handle, value: base)
    }

    func withContract<R>(_ body: (UnsafePointer<baton_sync>) -> R) -> R {
        waits.withUnsafeBufferPointer { waits in
            signals.withUnsafeBufferPointer { signals in
                var sync = baton_sync.sized()
                sync.wait_count = UInt32(waits.count)
                sync.waits = waits.baseAddress
                sync.signal_count = UInt32(signals.count)
                sync.signals = signals.baseAddress
                sync.queue = UInt32(queue)
                sync.layer_timeline = layers?.timeline
                sync.layer_base = layers?.value ?? 0
                return body(&sync)
            }
        }
    }
}
