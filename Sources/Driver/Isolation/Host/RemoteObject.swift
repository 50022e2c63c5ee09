import CDriver
import Glibc
import Synchronization

/// What a handle of an isolated driver leads to on this side: the child's number for it, and what this side must know of it. Any thread.
///
/// Handles are these objects' own addresses, kept until they are released or their device is closed.
final class RemoteObject: @unchecked Sendable {
    enum Kind: UInt8 { case device = 1, buffer, program, pool, timeline }

    let kind: Kind
    let connection: ChildConnection
    /// The child's number.
    let id: UInt64
    /// The device it was made on; nil for a device.
    let device: RemoteObject?
    /// Of a buffer, in bytes.
    let length: UInt64
    /// Of a buffer whose memory the child lent to this side.
    private let lent: LentMemory?
    /// Of a program.
    let maxTokens: UInt32
    let maxSequences: UInt32
    private let state = Mutex(State())

    private struct State: @unchecked Sendable {
        /// Of a device: what was made on it.
        var children: Set<UInt> = []
        /// Of a buffer: its bytes while they are mapped, and whether they go back.
        var mapped: (bytes: UnsafeMutableRawBufferPointer, writes: Bool, users: Int)?
        /// Of a buffer or pool: descriptors of its memory that the child gave.
        var descriptors: [Int32] = []
        /// Of a timeline: bytes of work that reached host memory the child does not see, due when a value is reached.
        var due: [Due] = []
        /// Of a timeline: the highest value that queued work without waits has promised.
        var promised: UInt64 = 0
    }

    /// KV on its way between the child and plain host memory.
    struct Due: @unchecked Sendable {
        var value: UInt64
        var staging: SharedMemory
        /// Where it goes; nil for an import, whose staging only has to live so long.
        var target: UnsafeMutableRawBufferPointer?

        func settle() { if let target { target.copyMemory(from: UnsafeRawBufferPointer(start: staging.base, count: target.count)) } }
    }

    init(
        _ kind: Kind, _ id: UInt64, of connection: ChildConnection, on device: RemoteObject?, length: UInt64 = 0, lent: LentMemory? = nil, maxTokens: UInt32 = .max,
        maxSequences: UInt32 = .max
    ) {
        self.kind = kind
        self.id = id
        self.connection = connection
        self.device = device
        self.length = length
        self.lent = lent
        self.maxTokens = maxTokens
        self.maxSequences = maxSequences
    }

    /// The handle, which keeps the object until `release`.
    func handle() -> OpaquePointer {
        let pointer = Unmanaged.passRetained(self).toOpaque()
        device?.state.withLock { _ = $0.children.insert(UInt(bitPattern: pointer)) }
        return OpaquePointer(pointer)
    }

    static func at(_ handle: OpaquePointer?) -> RemoteObject? {
        handle.map { Unmanaged<RemoteObject>.fromOpaque(UnsafeRawPointer($0)).takeUnretainedValue() }
    }

    /// Lets go of a handle that this device gave out; nil for any other.
    func release(_ handle: OpaquePointer?) -> RemoteObject? {
        guard let handle, state.withLock({ $0.children.remove(UInt(bitPattern: handle)) != nil }) else { return nil }
        return Unmanaged<RemoteObject>.fromOpaque(UnsafeRawPointer(handle)).takeRetainedValue()
    }

    /// Lets go of everything that was made on this device.
    func releaseAll() {
        let handles = state.withLock { state in
            defer { state.children = [] }
            return state.children
        }
        for handle in handles {
            guard let pointer = UnsafeRawPointer(bitPattern: handle) else { continue }
            Unmanaged<RemoteObject>.fromOpaque(pointer).release()
        }
    }

    // MARK: timelines

    /// Bytes that come or go with `value`.
    func add(due: Due) { state.withLock { $0.due.append(due) } }

    /// The work was refused.
    func cancel(_ due: Due) { state.withLock { $0.due.removeAll { $0.staging === due.staging } } }

    func promise(_ value: UInt64) { state.withLock { $0.promised = max($0.promised, value) } }

    /// Whether work that waits for nothing is to reach `value`.
    func promises(_ value: UInt64) -> Bool { state.withLock { $0.promised >= value } }

    /// The child said what this timeline came to: host memory that was waiting for it is filled before anybody hears of it.
    func reached(_ event: baton_event) {
        let due = state.withLock { state -> [Due] in
            guard !state.due.isEmpty else { return [] }
            let failed = event.code != 0
            defer { state.due.removeAll { failed || $0.value <= event.value } }
            return failed ? [] : state.due.filter { $0.value <= event.value }
        }
        for one in due { one.settle() }
    }

    // MARK: memory that the child lent

    /// Where a range of a buffer is in memory of this side; nil where it must be asked for: the child did not lend it, has ended, or has to refuse
    /// the range or the device.
    func lent(_ offset: UInt64, _ count: UInt64, beside device: OpaquePointer?) -> UnsafeMutableRawPointer? {
        guard let lent, let other = RemoteObject.at(device), other === self.device, !connection.isGone else { return nil }
        let (end, overflow) = offset.addingReportingOverflow(count)
        return !overflow && end <= length ? lent.base + Int(offset) : nil
    }

    // MARK: maps

    /// The bytes of a map that is there already.
    func mapAgain(writes: Bool) -> UnsafeMutableRawPointer? {
        state.withLock { state in
            guard state.mapped != nil else { return nil }
            state.mapped?.users += 1
            if writes { state.mapped?.writes = true }
            return state.mapped?.bytes.baseAddress
        }
    }

    func keep(map bytes: UnsafeMutableRawBufferPointer, writes: Bool) { state.withLock { $0.mapped = (bytes, writes, 1) } }

    /// The bytes to write back and free, when nobody uses the map any more.
    func unmap() -> (bytes: UnsafeMutableRawBufferPointer, writes: Bool)? {
        state.withLock { state in
            guard let mapped = state.mapped else { return nil }
            state.mapped?.users -= 1
            guard mapped.users == 1 else { return nil }
            state.mapped = nil
            return (mapped.bytes, mapped.writes)
        }
    }

    /// Takes over a descriptor, which is closed when this goes.
    func keep(_ descriptor: Int32) { state.withLock { $0.descriptors.append(descriptor) } }

    deinit {
        state.withLock { state in
            for descriptor in state.descriptors { Glibc.close(descriptor) }
            state.mapped?.bytes.deallocate()
        }
    }
}

/// An event on the wire.
enum RemoteEvent {
    static func put(_ event: baton_event, to writer: inout WireWriter) {
        writer.put(event.code)
        writer.put(event.value)
        writer.put(event.clock)
        writer.put(event.start_ns)
        writer.put(event.end_ns)
    }

    static func take(_ reader: inout WireReader) throws(WireError) -> baton_event {
        var event = baton_event.sized()
        event.code = try reader.take()
        event.value = try reader.take()
        event.clock = try reader.take()
        event.start_ns = try reader.take()
        event.end_ns = try reader.take()
        return event
    }
}
