import CDriver
import Glibc
import Synchronization

/// Host memory that several devices read and write: the staging of a handoff, or a mapped file of weights.
/// Owned once; freed when it goes, so it must outlive the work that names it.
public struct HostRegion: ~Copyable, @unchecked Sendable {
    public let base: UnsafeMutableRawPointer
    public let count: Int
    /// Where a driver runs in a child, memory that the child can map too.
    private let shared: SharedMemory?

    /// `count` zeroed bytes, page-aligned.
    public init(count: Int) throws(DriverError) {
        let shared = SharedMemory.isWanted.load(ordering: .relaxed) ? try SharedMemory(count: count) : nil
        let place: UnsafeMutableRawPointer
        if let shared { place = shared.base } else { place = try Self.mapped(count) }
        self.shared = shared
        self.count = count
        base = place
    }

    private static func mapped(_ count: Int) throws(DriverError) -> UnsafeMutableRawPointer {
        let mapped = mmap(nil, max(count, 1), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let mapped, mapped != MAP_FAILED else {
            throw DriverError(.resourceExhausted, driver: "host", call: "mmap", detail: "no \(count) bytes of host memory")
        }
        return mapped
    }

    public var bytes: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: base, count: count) }

    deinit { if shared == nil { munmap(base, max(count, 1)) } }
}

/// A name for a range of memory that a device may import. It owns nothing: the memory outlives every use of the name.
public struct MemoryName: @unchecked Sendable {
    let raw: baton_memory

    /// A range of this process's memory.
    public static func host(_ address: UnsafeRawPointer, count: Int) -> MemoryName {
        var raw = baton_memory.sized()
        raw.kind = baton_memory_kind(BATON_MEMORY_HOST)
        raw.address = UInt64(UInt(bitPattern: address))
        raw.descriptor = -1
        raw.length = UInt64(count)
        return MemoryName(raw: raw)
    }

    /// The first `count` bytes of a file whose bytes stay as they are, or of a memfd. The driver maps it itself, so that it can let pages go that it
    /// has done with. The descriptor is borrowed while the name is used.
    public static func file(_ descriptor: Int32, count: Int) -> MemoryName {
        var raw = baton_memory.sized()
        raw.kind = baton_memory_kind(BATON_MEMORY_MEMFD)
        raw.descriptor = Int64(descriptor)
        raw.length = UInt64(count)
        return MemoryName(raw: raw)
    }

    init(raw: baton_memory) { self.raw = raw }
}
