import CIsolation
import Glibc
import Synchronization

/// Memory of this process that children can map: an anonymous file, mapped here. Named by its address, as other host memory is; the registry finds
/// which file and where. Owned once; children let go of it when it goes.
final class SharedMemory: @unchecked Sendable {
    let id: UInt64
    let base: UnsafeMutableRawPointer
    let count: Int
    let descriptor: Int32

    private struct Registry: @unchecked Sendable {
        var ranges: [UInt64: WeakRange] = [:]
        var next: UInt64 = 1
        var children: [ObjectIdentifier: WeakChild] = [:]
    }
    private struct WeakRange {
        weak var memory: SharedMemory?
        var base: UInt
        var count: Int
    }
    private struct WeakChild { weak var child: ChildConnection? }
    private static let registry = Mutex(Registry())
    /// Whether any driver of this process runs in a child: else host memory is plain memory.
    static let isWanted = Atomic<Bool>(false)

    init(count: Int) throws(DriverError) {
        let length = max(count, 1)
        let descriptor = cisolation_memory("baton-shared", UInt64(length))
        guard descriptor >= 0 else { throw Self.refused(length, -descriptor) }
        guard let mapped = mmap(nil, length, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), mapped != MAP_FAILED else {
            let reason = errno
            Glibc.close(descriptor)
            throw Self.refused(length, reason)
        }
        self.descriptor = descriptor
        self.count = length
        base = mapped
        id = Self.registry.withLock { registry in
            defer { registry.next += 1 }
            return registry.next
        }
        let range = WeakRange(memory: self, base: UInt(bitPattern: base), count: length)
        Self.registry.withLock { $0.ranges[id] = range }
    }

    private static func refused(_ count: Int, _ reason: Int32) -> DriverError {
        DriverError(.resourceExhausted, driver: "host", call: "shared memory", detail: "no \(count) bytes to share with a child: \(String(cString: strerror(reason)))")
    }

    /// The shared memory that a range of this process lies in, and where in it.
    static func find(_ address: UInt64, count: UInt64) -> (memory: SharedMemory, offset: UInt64)? {
        registry.withLock { registry in
            for range in registry.ranges.values {
                let base = UInt64(range.base)
                guard address >= base, count <= UInt64(range.count), address - base <= UInt64(range.count) - count, let memory = range.memory else { continue }
                return (memory, address - base)
            }
            return nil
        }
    }

    /// Children hear from now on of memory that goes.
    static func register(_ child: ChildConnection) {
        isWanted.store(true, ordering: .relaxed)
        let weak = WeakChild(child: child)
        registry.withLock { $0.children[ObjectIdentifier(child)] = weak }
    }

    static func forget(_ child: ObjectIdentifier) { _ = registry.withLock { $0.children.removeValue(forKey: child) } }

    deinit {
        let children = Self.registry.withLock { registry in
            registry.ranges[id] = nil
            return registry.children.values.compactMap(\.child)
        }
        for child in children { child.drop(id) }
        munmap(base, count)
        Glibc.close(descriptor)
    }
}
