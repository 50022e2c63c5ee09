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

    private final class Storage {
        let memory: MappedMemory
        init(_ memory: consuming MappedMemory) { self.memory = memory }
    }

    private enum Keeper {
        case own(Storage, reserved: MemoryBudget.Reservation)
        /// Its own, in memory that other processes can map.
        case shared(SharedStorage, reserved: MemoryBudget.Reservation)
        /// Somebody else's memory, or a mapping of a descriptor that is ours to undo.
        case imported(HostMemory)
    }

    init(allocating length: Int, budget: MemoryBudget) throws(DriverFailure) {
        let reserved = try budget.hold(length, for: "a buffer")
        self.length = length
        access = [.read, .write]
        if let storage = SharedStorage(length) {
            base = storage.base
            keeper = .shared(storage, reserved: reserved)
            return
        }
        let storage = Storage(try MappedMemory(count: length, for: "a buffer"))
        base = storage.memory.base
        keeper = .own(storage, reserved: reserved)
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
        case (.memfd, .shared(let storage, _)): return Memory(.memfd, descriptor: storage.descriptor, length: length)
        default:
            throw DriverFailure(.unimplemented, "this driver names buffers as host memory, and those that it allocates from 64 KiB to 16 MiB as memfd too")
        }
    }
}

/// Memory in an anonymous file, so that a host in another process reads results without a copy by this one: for buffers of the size of results. Larger
/// ones, and all beyond a number that leaves descriptors for others, are memory of this process alone.
private final class SharedStorage {
    let base: UnsafeMutableRawPointer
    let descriptor: Int32
    private let length: Int
    private static let lengths = 65_536...16 << 20
    private static let most = 64
    private static let count = Atomic<Int>(0)

    /// nil where it is not to be, or not to be had.
    init?(_ length: Int) {
        guard Self.lengths.contains(length) else { return nil }
        guard Self.count.add(1, ordering: .relaxed).newValue <= Self.most, case let made = cpuk_shared_memory(length), made >= 0 else {
            Self.count.subtract(1, ordering: .relaxed)
            return nil
        }
        guard let mapped = mmap(nil, length, PROT_READ | PROT_WRITE, MAP_SHARED, made, 0), mapped != MAP_FAILED else {
            close(made)
            Self.count.subtract(1, ordering: .relaxed)
            return nil
        }
        (base, descriptor, self.length) = (mapped, made, length)
    }

    deinit {
        munmap(base, length)
        close(descriptor)
        Self.count.subtract(1, ordering: .relaxed)
    }
}
