import Glibc

/// Copies KV between a pool's storage and an exchanged array, in any order of axes, converting among f32, f16 and bf16
/// (round to nearest, ties to even). The work is `count` independent units, one for each layer and block of the range, so that
/// a driver can spread it: `host.parallelFor(transfer.count, grain: 1) { begin, end, _ in transfer.run(begin..<end) }`.
/// Ownership: both memories are borrowed and must outlive the transfer.
public struct KVTransfer: @unchecked Sendable {
    public enum Direction: Sendable { case export, `import` }
    /// Copies bytes to the first place from the second, which do not overlap.
    public typealias Copy = @Sendable (UnsafeMutableRawPointer, UnsafeRawPointer, Int) -> Void

    /// Units of work.
    public let count: Int
    private let direction: Direction
    private let range: KVRange
    private let pool: KVPoolDescription
    private let storage: Side
    private let array: Side
    private let copy: Copy?
    /// The axes inside one unit, slowest first, those that are contiguous on both sides last.
    private let order: [KVLayout.Axis]

    /// One side: where it lies and the steps of its axes, in elements.
    private struct Side {
        var base: UnsafeMutableRawPointer
        var dtype: DType
        var strides: KVLayout.Strides

        func step(_ axis: KVLayout.Axis) -> Int {
            switch axis {
            case .layer: strides.layer
            case .block: strides.block
            case .plane: strides.plane
            case .head: strides.head
            case .token: strides.token
            case .dim: strides.dim
            }
        }
    }

    /// `storage` has `storageLayout` over all layers and blocks of the pool; `array` has `layout` over the range. The memory is `bytes` long
    /// as the layouts say. UNIMPLEMENTED for scales, for other dtypes, and where K's rope or element order would have to change.
    /// `copy`, any thread, moves what is contiguous and of one dtype on both sides; memcpy where it is nil.
    public init(
        _ direction: Direction, _ range: KVRange, of pool: KVPoolDescription, storage: UnsafeMutableRawPointer, _ storageLayout: KVLayout,
        array: UnsafeMutableRawPointer, _ layout: KVLayout, copy: Copy? = nil
    ) throws(DriverFailure) {
        for each in [storageLayout, layout] {
            guard each.scaleMode == .none, [.f32, .f16, .bf16].contains(each.dtype) else {
                throw .unimplemented("exchange KV as \(each.dtype) with scales by \(each.scaleMode); use f32, f16 or bf16 without scales")
            }
        }
        guard storageLayout.ropeApplied == layout.ropeApplied, storageLayout.ropeStyle == layout.ropeStyle else {
            throw .unimplemented("change how K is turned (\(storageLayout.ropeStyle) to \(layout.ropeStyle)); exchange it as it is stored")
        }
        self.direction = direction
        self.range = range
        self.pool = pool
        self.copy = storageLayout.dtype == layout.dtype ? copy : nil
        count = range.layerCount * range.blocks.count
        self.storage = Side(
            base: storage, dtype: storageLayout.dtype, strides: try storageLayout.strides(layers: pool.layers, blocks: pool.blockCount))
        self.array = Side(base: array, dtype: layout.dtype, strides: try layout.strides(layers: range.layerCount, blocks: range.blocks.count))
        order = layout.axes.filter { $0 != .layer && $0 != .block }
    }

    public func run() { run(0..<count) }

    /// Some of the units. Threads: any, on different units.
    public func run(_ units: Range<Int>) {
        for unit in units { move(layer: unit / range.blocks.count, block: unit % range.blocks.count) }
    }

    private func move(layer: Int, block: Int) {
        let stored = (layer + range.firstLayer - pool.firstLayer) * storage.strides.layer + Int(range.blocks[block]) * storage.strides.block
        let exchanged = layer * array.strides.layer + block * array.strides.block
        let valid = min(max(range.tokenCount - block * pool.blockTokens, 0), pool.blockTokens)
        if valid < pool.blockTokens, direction == .export { clear(from: exchanged, tokens: valid..<pool.blockTokens) }
        guard valid > 0 else { return }
        var loops = order.map { Loop(extent(of: $0, valid), storage.step($0), array.step($0)) }
        let inner = Self.fold(&loops)
        while loops.count < 3 { loops.insert(Loop(1, 0, 0), at: 0) }
        for i in 0..<loops[0].extent {
            for j in 0..<loops[1].extent {
                for k in 0..<loops[2].extent {
                    row(
                        inner, stored + i * loops[0].stored + j * loops[1].stored + k * loops[2].stored,
                        exchanged + i * loops[0].exchanged + j * loops[1].exchanged + k * loops[2].exchanged)
                }
            }
        }
    }

    private struct Loop {
        var extent: Int
        var stored: Int
        var exchanged: Int
        init(_ extent: Int, _ stored: Int, _ exchanged: Int) {
            self.extent = extent
            self.stored = stored
            self.exchanged = exchanged
        }
    }

    /// Joins the innermost loop with those around it as long as both sides step through them in one stride.
    private static func fold(_ loops: inout [Loop]) -> Loop {
        var inner = loops.removeLast()
        while let outer = loops.last, outer.stored == inner.extent * inner.stored, outer.exchanged == inner.extent * inner.exchanged {
            inner.extent *= outer.extent
            loops.removeLast()
        }
        return inner
    }

    private func extent(of axis: KVLayout.Axis, _ tokens: Int) -> Int {
        switch axis {
        case .plane: 2
        case .head: pool.kvHeads
        case .token: tokens
        default: pool.headDim
        }
    }

    private func row(_ loop: Loop, _ stored: Int, _ exchanged: Int) {
        let here = storage.base + stored * storage.dtype.blockBytes
        let there = array.base + exchanged * array.dtype.blockBytes
        let plain = loop.stored == 1 && loop.exchanged == 1 ? copy : nil
        let bytes = loop.extent * array.dtype.blockBytes
        switch (direction, plain) {
        case (.export, let copy?): copy(there, here, bytes)
        case (.import, let copy?): copy(here, there, bytes)
        case (.export, nil): FloatRow.copy(loop.extent, from: here, storage.dtype, step: loop.stored, to: there, array.dtype, step: loop.exchanged)
        case (.import, nil): FloatRow.copy(loop.extent, from: there, array.dtype, step: loop.exchanged, to: here, storage.dtype, step: loop.stored)
        }
    }

    private func clear(from start: Int, tokens: Range<Int>) {
        let width = array.dtype.blockBytes
        for plane in 0..<2 {
            for head in 0..<pool.kvHeads {
                for token in tokens {
                    let first = start + plane * array.strides.plane + head * array.strides.head + token * array.strides.token
                    if array.strides.dim == 1 {
                        memset(array.base + first * width, 0, pool.headDim * width)
                    } else {
                        for dim in 0..<pool.headDim { memset(array.base + (first + dim * array.strides.dim) * width, 0, width) }
                    }
                }
            }
        }
    }
}
