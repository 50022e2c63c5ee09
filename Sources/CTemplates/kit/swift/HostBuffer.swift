import Glibc

/// Step 4: host memory as the device's memory, its own or imported as it is.
final class HostBuffer: BufferImplementation, @unchecked Sendable {
    let base: UnsafeMutableRawPointer
    let length: Int
    let isWritable: Bool
    private let reserved: MemoryBudget.Reservation?
    private let imported: HostMemory?

    init(_ length: Int, _ reserved: MemoryBudget.Reservation) {
        self.length = length
        self.reserved = reserved
        imported = nil
        isWritable = true
        base = .allocate(byteCount: length, alignment: 64)
        memset(base, 0, length)
    }

    init(_ memory: Memory, _ access: Access) throws(DriverFailure) {
        let reached = try HostMemory(memory, access: access)
        imported = reached
        reserved = nil
        base = reached.base
        length = reached.length
        isWritable = access.contains(.write)
    }

    func write(_ offset: Int, _ source: UnsafeRawBufferPointer) throws(DriverFailure) {
        guard isWritable else { throw DriverFailure(.permissionDenied, "memory imported for reading is written to") }
        if let from = source.baseAddress { (base + offset).copyMemory(from: from, byteCount: source.count) }
    }

    func read(_ offset: Int, into target: UnsafeMutableRawBufferPointer) throws(DriverFailure) {
        target.baseAddress?.copyMemory(from: base + offset, byteCount: target.count)
    }

    func map(_ access: Access) throws(DriverFailure) -> UnsafeMutableRawPointer {
        guard isWritable || !access.contains(.write) else { throw DriverFailure(.permissionDenied, "memory imported for reading is mapped for writing") }
        return base
    }

    func export(as kind: Memory.Kind) throws(DriverFailure) -> Memory {
        guard kind == .host else { throw DriverFailure(.unimplemented, "a buffer is named as host memory only") }
        return .host(base, length: length)
    }

    deinit { if imported == nil { base.deallocate() } }
}
