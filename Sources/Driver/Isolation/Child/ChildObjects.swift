import CDriver
import Glibc
import Synchronization

/// What the child's driver made, by the numbers that the host knows it by; and the memory that both see. Any thread.
final class ChildObjects: @unchecked Sendable {
    private struct Object {
        var kind: RemoteObject.Kind
        var handle: OpaquePointer
        var device: UInt64
        /// Memory mapped for it, which the driver was given as host memory.
        var mapping: UnsafeMutableRawBufferPointer?
        /// A buffer whose memory was named to the host, and so may hold a descriptor.
        var isLent = false
    }
    private static let mostLent = 128
    private struct Segment {
        var base: UnsafeMutableRawPointer
        var count: Int
    }
    private struct State: @unchecked Sendable {
        var objects: [UInt64: Object] = [:]
        var next: UInt64 = 1
        var segments: [UInt64: Segment] = [:]
        /// Callbacks that have not run, by token, and their device.
        var callbacks: [UInt64: UInt64] = [:]
    }
    private let state = Mutex(State())

    func add(_ kind: RemoteObject.Kind, _ handle: OpaquePointer?, on device: UInt64, mapping: UnsafeMutableRawBufferPointer? = nil) -> UInt64 {
        guard let handle else { return 0 }
        return state.withLock { state in
            defer { state.next += 1 }
            state.objects[state.next] = Object(kind: kind, handle: handle, device: device, mapping: mapping)
            return state.next
        }
    }

    /// Whether the memory of buffer `id` may be named to the host, which counts it: descriptors are left for others.
    func mayLend(_ id: UInt64) -> Bool {
        state.withLock { state in
            guard state.objects.values.count(where: \.isLent) < Self.mostLent else { return false }
            state.objects[id]?.isLent = true
            return true
        }
    }

    /// The driver's handle; null for 0.
    func handle(_ id: UInt64) throws(WireError) -> OpaquePointer? {
        guard id != 0 else { return nil }
        guard let object = state.withLock({ $0.objects[id] }) else { throw WireError("the host named object \(id), which is not there") }
        return object.handle
    }

    func take(_ id: UInt64) throws(WireError) -> OpaquePointer? {
        guard let object = state.withLock({ $0.objects.removeValue(forKey: id) }) else { throw WireError("the host named object \(id), which is not there") }
        if let mapping = object.mapping { mappingsToFree.withLock { $0[UInt(bitPattern: object.handle)] = Mapping(bytes: mapping) } }
        return object.handle
    }

    private struct Mapping: @unchecked Sendable { var bytes: UnsafeMutableRawBufferPointer }
    private let mappingsToFree = Mutex<[UInt: Mapping]>([:])

    /// The driver has released `handle`: memory mapped for it goes.
    func released(_ handle: OpaquePointer?) {
        guard let mapping = mappingsToFree.withLock({ $0.removeValue(forKey: UInt(bitPattern: handle)) }) else { return }
        munmap(mapping.bytes.baseAddress, mapping.bytes.count)
    }

    /// A device was closed, and all that was made on it went with it.
    func closed(_ device: UInt64) {
        let gone = state.withLock { state -> [Object] in
            let gone = state.objects.values.filter { $0.device == device }
            state.objects = state.objects.filter { $0.value.device != device && $0.key != device }
            state.callbacks = state.callbacks.filter { $0.value != device }
            return gone
        }
        for object in gone { if let mapping = object.mapping { munmap(mapping.baseAddress, mapping.count) } }
    }

    func add(segment id: UInt64, _ descriptor: Int32, count: UInt64) throws(WireError) {
        guard count > 0, count <= 1 << 40, let mapped = mmap(nil, Int(count), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), mapped != MAP_FAILED else {
            throw WireError("\(count) bytes of shared memory cannot be mapped: \(String(cString: strerror(errno)))")
        }
        let segment = Segment(base: mapped, count: Int(count))
        state.withLock { $0.segments[id] = segment }
    }

    func drop(segment id: UInt64) {
        guard let segment = state.withLock({ $0.segments.removeValue(forKey: id) }) else { return }
        munmap(segment.base, segment.count)
    }

    func address(in id: UInt64, at offset: UInt64, count: UInt64) throws(WireError) -> UInt64 {
        guard let segment = state.withLock({ $0.segments[id] }), count <= UInt64(segment.count), offset <= UInt64(segment.count) - count else {
            throw WireError("\(count) bytes from \(offset) of shared memory \(id), which are not there")
        }
        return UInt64(UInt(bitPattern: segment.base)) + offset
    }

    func expect(callback token: UInt64, on device: UInt64) { state.withLock { $0.callbacks[token] = device } }
    /// True once for a callback that was expected.
    func take(callback token: UInt64) -> Bool { state.withLock { $0.callbacks.removeValue(forKey: token) != nil } }
}
