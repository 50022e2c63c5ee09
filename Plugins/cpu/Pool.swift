import CPUKernels
import DriverKit

/// Storage of KV blocks: [layer][block][plane][head][token][dim] in the pool's dtype, own memory or another device's.
final class Pool: PoolImplementation, @unchecked Sendable {
    let description: KVPoolDescription
    let base: UnsafeMutableRawPointer
    private let storage: Storage
    private let reserved: MemoryBudget.Reservation?

    private enum Storage {
        case own(Box)
        case shared
    }
    private final class Box {
        let memory: MappedMemory
        init(_ memory: consuming MappedMemory) { self.memory = memory }
    }

    /// Zeroed blocks, charged to `budget`.
    init(_ description: KVPoolDescription, budget: MemoryBudget) throws(DriverFailure) {
        let bytes = description.byteCount
        let reserved = try budget.hold(bytes, for: "a KV pool")
        let box = Box(try MappedMemory(count: bytes, for: "a KV pool"))
        self.description = description
        base = box.memory.base
        storage = .own(box)
        self.reserved = reserved
    }

    /// Over storage that another device shares and keeps.
    init(_ description: KVPoolDescription, adopting base: UnsafeMutableRawPointer) {
        self.description = description
        self.base = base
        storage = .shared
        reserved = nil
    }

    /// Bytes of one plane of one block, of a block, of a layer.
    var planeBytes: Int { description.kvHeads * description.blockTokens * description.headDim * description.dtype.blockBytes }
    var blockBytes: Int { 2 * planeBytes }
    var layerBytes: Int { description.blockCount * blockBytes }

    /// The start of a layer counted in the whole model.
    func layer(_ layer: Int) -> UnsafeMutableRawPointer { base + (layer - description.firstLayer) * layerBytes }
}
