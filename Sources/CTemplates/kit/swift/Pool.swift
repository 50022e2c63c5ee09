import Glibc

/// Step 5: storage of KV blocks, own or another device's.
final class Pool: PoolImplementation, @unchecked Sendable {
    static let axes: [KVLayout.Axis] = [.block, .layer, .plane, .head, .token, .dim]
    let description: KVPoolDescription
    let base: UnsafeMutableRawPointer
    private let reserved: MemoryBudget.Reservation?

    init(_ description: KVPoolDescription, _ reserved: MemoryBudget.Reservation) {
        self.description = description
        self.reserved = reserved
        base = .allocate(byteCount: description.byteCount, alignment: 64)
        memset(base, 0, description.byteCount)
    }

    init(_ description: KVPoolDescription, adopting base: UnsafeMutableRawPointer) {
        self.description = description
        self.base = base
        reserved = nil
    }

    /// Where a row of headDim elements lies. `layer` is counted in the whole model.
    func row(_ layer: Int, _ block: Int, _ plane: Int, _ head: Int, _ token: Int) -> UnsafeMutableRawPointer {
        let d = description
        let row = (((block * d.layers + layer - d.firstLayer) * 2 + plane) * d.kvHeads + head) * d.blockTokens + token
        return base + row * d.headDim * d.dtype.blockBytes
    }

    deinit { if reserved != nil { base.deallocate() } }
}
