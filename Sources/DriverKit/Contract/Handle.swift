import CDriver
import Synchronization

/// What a handle leads to.
enum HandleKind: UInt32 { case device = 1, buffer = 2, program = 3, pool = 4, timeline = 5 }

/// What lies behind a handle; every subclass holds constants and locked state only.
class HandleTarget: @unchecked Sendable {}

/// Handles given to the host: slots whose memory is never given back, so that a stale handle reads as one instead of crashing.
/// A released slot waits behind 1,024 others before it is used again.
enum Handle {
    struct Slot {
        var magic: UInt64
        var kind: UInt32
        var reserved: UInt32
        var object: Unmanaged<HandleTarget>?
    }

    private struct Free: @unchecked Sendable {
        var slots: [UnsafeMutablePointer<Slot>] = []
        var head = 0
    }

    /// Different in every library this is linked into, so that handles of two drivers are never mistaken for each other.
    private static let live = 0x6261_746F_6E2D_6B69 ^ UInt64(UInt(bitPattern: UnsafeMutableRawPointer.allocate(byteCount: 16, alignment: 16)))
    private static let dead: UInt64 = 0x676F_6E65_676F_6E65
    private static let quarantine = 1_024
    private static let free = Mutex(Free())

    /// Keeps the object until `release`.
    static func make(_ kind: HandleKind, _ object: HandleTarget) -> OpaquePointer {
        let slot = free.withLock { free -> UnsafeMutablePointer<Slot> in
            guard free.slots.count - free.head > quarantine else { return .allocate(capacity: 1) }
            let slot = free.slots[free.head]
            free.head += 1
            if free.head > 4_096 {
                free.slots.removeFirst(free.head)
                free.head = 0
            }
            return slot
        }
        slot.initialize(to: Slot(magic: live, kind: kind.rawValue, reserved: 0, object: Unmanaged.passRetained(object)))
        return OpaquePointer(slot)
    }

    private static func slot(_ handle: OpaquePointer?, _ kind: HandleKind) -> UnsafeMutablePointer<Slot>? {
        guard let handle, UInt(bitPattern: handle) % UInt(MemoryLayout<Slot>.alignment) == 0 else { return nil }
        let slot = UnsafeMutablePointer<Slot>(handle)
        guard slot.pointee.magic == live, slot.pointee.kind == kind.rawValue else { return nil }
        return slot
    }

    /// The object, or INVALID_ARGUMENT for a null, stale or foreign handle.
    @inline(__always)
    static func object<T: HandleTarget>(_ handle: OpaquePointer?, _ kind: HandleKind, as type: T.Type) throws(DriverFailure) -> T {
        guard let slot = slot(handle, kind), let object = slot.pointee.object?.takeUnretainedValue() as? T else {
            let state = handle == nil ? "null" : "not a live one of this driver"
            throw .invalid("the \(kind) handle is \(state); pass one that this driver made and that is not released")
        }
        return object
    }

    /// Ends the handle; the object it kept, or nil when it was none.
    static func release(_ handle: OpaquePointer?, _ kind: HandleKind) -> HandleTarget? {
        free.withLock { free in
            guard let slot = slot(handle, kind) else { return nil }
            slot.pointee.magic = dead
            let object = slot.pointee.object?.takeRetainedValue()
            slot.pointee.object = nil
            free.slots.append(slot)
            return object
        }
    }
}

/// An open device with the handles made on it.
final class DeviceHandle: HandleTarget, @unchecked Sendable {
    let implementation: any DeviceImplementation
    /// Asked once: a device does not change while it is open.
    let info: DeviceDescription
    let gate = CallbackGate()
    private let children = Mutex<[UInt: HandleKind]>([:])
    let quiesced = Atomic<Bool>(false)

    init(_ implementation: any DeviceImplementation) {
        self.implementation = implementation
        info = implementation.info
    }

    func make(_ kind: HandleKind, _ object: HandleTarget) -> OpaquePointer {
        let handle = Handle.make(kind, object)
        children.withLock { $0[UInt(bitPattern: handle)] = kind }
        return handle
    }

    /// A handle that this device did not make stays.
    func release(_ handle: OpaquePointer?, _ kind: HandleKind) {
        guard let handle else { return }
        let object = children.withLock { children -> HandleTarget? in
            guard children[UInt(bitPattern: handle)] == kind else { return nil }
            children[UInt(bitPattern: handle)] = nil
            return Handle.release(handle, kind)
        }
        withExtendedLifetime(object) {}
    }

    func releaseAll() {
        let objects = children.withLock { children -> [HandleTarget?] in
            let objects = children.map { Handle.release(OpaquePointer(bitPattern: $0.key), $0.value) }
            children = [:]
            return objects
        }
        withExtendedLifetime(objects) {}
    }

    /// Handles of this device that are not released.
    var childCount: Int { children.withLock { $0.count } }
}

final class BufferHandle: HandleTarget, @unchecked Sendable {
    let implementation: any BufferImplementation
    init(_ implementation: any BufferImplementation) { self.implementation = implementation }
}

final class ProgramHandle: HandleTarget, @unchecked Sendable {
    let implementation: any ProgramImplementation
    let description: ProgramDescription
    let info: ProgramInfo
    init(_ implementation: any ProgramImplementation) {
        self.implementation = implementation
        description = implementation.description
        info = implementation.info
    }
}

final class PoolHandle: HandleTarget, @unchecked Sendable {
    let implementation: any PoolImplementation
    let description: KVPoolDescription
    init(_ implementation: any PoolImplementation) {
        self.implementation = implementation
        description = implementation.description
    }
}

final class TimelineHandle: HandleTarget, @unchecked Sendable {
    let timeline: Timeline
    let gate: CallbackGate
    init(_ timeline: Timeline, _ gate: CallbackGate) {
        self.timeline = timeline
        self.gate = gate
    }
}

/// Typed look-ups.
enum Find {
    static func device(_ handle: OpaquePointer?) throws(DriverFailure) -> DeviceHandle { try Handle.object(handle, .device, as: DeviceHandle.self) }
    static func buffer(_ handle: OpaquePointer?) throws(DriverFailure) -> any BufferImplementation {
        try Handle.object(handle, .buffer, as: BufferHandle.self).implementation
    }
    static func program(_ handle: OpaquePointer?) throws(DriverFailure) -> ProgramHandle { try Handle.object(handle, .program, as: ProgramHandle.self) }
    static func pool(_ handle: OpaquePointer?) throws(DriverFailure) -> PoolHandle { try Handle.object(handle, .pool, as: PoolHandle.self) }
    static func timeline(_ handle: OpaquePointer?) throws(DriverFailure) -> TimelineHandle { try Handle.object(handle, .timeline, as: TimelineHandle.self) }

    static func sync(_ raw: UnsafePointer<baton_sync>?, _ device: DeviceHandle) throws(DriverFailure) -> Sync {
        guard let raw else { return .immediate }
        let sync = try baton_sync.read(raw, "the sync")
        guard sync.queue < max(device.info.queueCount, 1) else {
            throw .invalid("queue \(sync.queue) is asked for and the device has \(device.info.queueCount); number them from 0")
        }
        var found = Sync(queue: Int(sync.queue), layerBase: sync.layer_base)
        found.waits = try points(sync.waits, sync.wait_count, "waits")
        found.signals = try points(sync.signals, sync.signal_count, "signals")
        if let layers = sync.layer_timeline { found.layers = try timeline(layers).timeline }
        return found
    }

    private static func points(_ raw: UnsafePointer<baton_point>?, _ count: UInt32, _ what: String) throws(DriverFailure) -> [Point] {
        guard count > 0 else { return [] }
        guard let raw, count <= 65_536 else { throw .invalid("the sync states \(count) \(what); pass the array, at most 65536 long") }
        var points: [Point] = []
        for index in 0..<Int(count) { points.append(Point(try timeline(raw[index].timeline).timeline, raw[index].value)) }
        return points
    }
}
