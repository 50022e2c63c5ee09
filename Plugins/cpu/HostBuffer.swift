import CPUKernels
import DriverKit
import Glibc
import Synchronization

/// Host memory as the device's memory: its own, or imported as it is.
final class HostBuffer: BufferImplementation, @unchecked Sendable {
    let base: UnsafeMutableRawPointer
    let length: Int
    private let access: Access
    private let keeper: Keeper

    private enum Keeper {
        case own(OwnMemory, reserved: MemoryBudget.Reservation)
        /// Somebody else's memory, or a mapping of a descriptor that is ours to undo.
        case imported(HostMemory)
    }

    init(allocating length: Int, budget: MemoryBudget) throws(DriverFailure) {
        let reserved = try budget.hold(length, for: "a buffer")
        let own = OwnMemory(try MappedMemory(count: length, for: "a buffer"))
        base = own.memory.base
        self.length = length
        access = [.read, .write]
        keeper = .own(own, reserved: reserved)
    }

    init(importing memory: Memory, access: Access) throws(DriverFailure) {
        let host = try HostMemory(memory, access: access)
        base = host.base
        length = host.length
        self.access = access
        keeper = .imported(host)
    }

    /// Whether its bytes may change.
    var isWritable: Bool { access.contains(.write) }

    /// The range will not be read soon: pages of a mapped file may go.
    func release(_ range: Range<Int>) {
        if case .imported(let memory) = keeper { memory.release(range) }
    }

    /// The range will be read at once.
    func fetch(_ range: Range<Int>) {
        if case .imported(let memory) = keeper { memory.fetch(range) }
    }

    func write(_ offset: Int, _ source: UnsafeRawBufferPointer) throws(DriverFailure) {
        guard access.contains(.write) else { throw DriverFailure(.permissionDenied, "the buffer was imported for reading; import it for writing") }
        guard let from = source.baseAddress else { return }
        (base + offset).copyMemory(from: from, byteCount: source.count)
    }

    func read(_ offset: Int, into target: UnsafeMutableRawBufferPointer) throws(DriverFailure) {
        target.baseAddress?.copyMemory(from: base + offset, byteCount: target.count)
    }

    func map(_ access: Access) throws(DriverFailure) -> UnsafeMutableRawPointer {
        guard self.access.isSuperset(of: access) else {
            throw DriverFailure(.permissionDenied, "the buffer was imported for reading; import it for writing")
        }
        return base
    }

    func export(as kind: Memory.Kind) throws(DriverFailure) -> Memory {
        switch (kind, keeper) {
        case (.host, _): return .host(base, length: length)
        case (.memfd, .own(let own, _)): return Memory(.memfd, descriptor: try own.descriptor(), length: length)
        default: throw DriverFailure(.unimplemented, "this driver names buffers as host memory, and those that it allocates as memfd too")
        }
    }
}

/// A buffer's own memory. Once it is named by descriptor it is an anonymous file's, mapped where it was; until then it holds no descriptor.
private final class OwnMemory: Sendable {
    let memory: MappedMemory
    private let file = Mutex<Int32?>(nil)

    init(_ memory: consuming MappedMemory) { self.memory = memory }

    /// The file's, which stays this object's. The first time moves the bytes: nothing else may touch them meanwhile.
    func descriptor() throws(DriverFailure) -> Int32 {
        try file.withLock { (file: inout Int32?) throws(DriverFailure) in
            if let file { return file }
            let made = cpuk_share(memory.base, memory.count)
            guard made >= 0 else { throw DriverFailure(.resourceExhausted, "a buffer of \(memory.count) bytes cannot be named by descriptor: error \(-made)") }
            file = made
            return made
        }
    }

    deinit { if let file = file.withLock({ $0 }) { close(file) } }
}
