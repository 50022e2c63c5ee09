import CPUKernels
import DriverKit

/// Storage of KV blocks: [block][layer][plane][head][token][dim] in the pool's dtype, own memory or another device's. A block's layers lie
/// together, so that a short sequence touches few pages, and large pages are not wasted on it.
final class Pool: PoolImplementation, @unchecked Sendable {
    let description: KVPoolDescription
    let base: UnsafeMutableRawPointer
    private let storage: Storage
    private let reserved: MemoryBudget.Reservation?
    /// Makes pages ahead of use; nil for storage that is another's.
    private let ahead: PagesAhead?

    private enum Storage {
        case own(Box)
        case shared
    }
    private final class Box: Sendable {
        let memory: MappedMemory
        init(_ memory: consuming MappedMemory) { self.memory = memory }
    }

    /// Zeroed blocks, charged to `budget`.
    init(_ description: KVPoolDescription, budget: MemoryBudget) throws(DriverFailure) {
        let bytes = description.byteCount
        let reserved = try budget.hold(bytes, for: "a KV pool")
        let box = Box(try MappedMemory(count: bytes, for: "a KV pool", largePages: true))
        self.description = description
        base = box.memory.base
        storage = .own(box)
        self.reserved = reserved
        ahead = PagesAhead(base: box.memory.base, count: bytes, owner: box)
    }

    /// Over storage that another device shares and keeps.
    init(_ description: KVPoolDescription, adopting base: UnsafeMutableRawPointer) {
        self.description = description
        self.base = base
        storage = .shared
        reserved = nil
        ahead = nil
    }

    /// Blocks up to this one are in use: more will be soon. Any thread, one at a time.
    func reached(block: Int) { ahead?.reached(min(block + 1, description.blockCount) * blockBytes) }

    /// All blocks will be in use. Any thread.
    func willFill() { ahead?.all() }

    /// Bytes of one plane of one layer of a block, of both planes, of a block.
    var planeBytes: Int { description.kvHeads * description.blockTokens * description.headDim * description.dtype.blockBytes }
    var layerBytes: Int { 2 * planeBytes }
    var blockBytes: Int { description.layers * layerBytes }
}
