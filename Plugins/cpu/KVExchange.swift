import CPUKernels
import DriverKit

/// Moves a range of a pool to or from memory in an exchange layout: any order of the axes, f32, f16 or bf16.
struct KVExchange: @unchecked Sendable {
    private let pool: Pool
    private let range: KVRange
    private let layout: KVLayout
    private let strides: KVLayout.Strides
    private let exporting: Bool
    /// Bytes of the range in the layout.
    let byteCount: Int
    private let kernels: UnsafePointer<cpuk_table>

    init(_ pool: Pool, _ range: KVRange, _ layout: KVLayout, exporting: Bool) throws(DriverFailure) {
        guard [.f32, .f16, .bf16].contains(layout.dtype), layout.scaleMode == .none else {
            throw DriverFailure(.invalidArgument, "KV as \(layout.dtype) with scales \(layout.scaleMode); f32, f16 and bf16 without scales can be exchanged")
        }
        guard let table = cpuk_for(cpuk_best()) else { throw DriverFailure(.internal, "no kernels") }
        self.pool = pool
        self.range = range
        self.layout = layout
        self.exporting = exporting
        strides = try layout.strides(layers: range.layerCount, blocks: range.blocks.count)
        byteCount = try layout.bytes(layers: range.layerCount, blocks: range.blocks.count)
        kernels = table
    }

    func run(_ memory: UnsafeMutableRawPointer) {
        let d = pool.description
        if exporting, range.tokenCount < range.blocks.count * d.blockTokens { memory.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount) }
        withUnsafeTemporaryAllocation(of: Float.self, capacity: d.headDim) { row in
            guard let row = row.baseAddress else { return }
            for layer in 0..<range.layerCount {
                for (index, block) in range.blocks.enumerated() {
                    let tokens = min(d.blockTokens, range.tokenCount - index * d.blockTokens)
                    guard tokens > 0 else { continue }
                    for plane in 0..<2 {
                        for head in 0..<d.kvHeads { rows(memory, layer, index, Int(block), plane, head, tokens, row) }
                    }
                }
            }
        }
    }

    /// The tokens of one head of one block.
    private func rows(
        _ memory: UnsafeMutableRawPointer, _ layer: Int, _ index: Int, _ block: Int, _ plane: Int, _ head: Int, _ tokens: Int,
        _ row: UnsafeMutablePointer<Float>
    ) {
        let d = pool.description
        let size = d.dtype.blockBytes
        let inside = pool.layer(range.firstLayer + layer) + block * pool.blockBytes + plane * pool.planeBytes + head * d.blockTokens * d.headDim * size
        let outside = layer * strides.layer + index * strides.block + plane * strides.plane + head * strides.head
        let width = layout.dtype.blockBytes
        if layout.dtype == d.dtype, strides.dim == 1 {
            for token in 0..<tokens {
                let (here, there) = (inside + token * d.headDim * size, memory + (outside + token * strides.token) * width)
                if exporting { there.copyMemory(from: here, byteCount: d.headDim * size) } else { here.copyMemory(from: there, byteCount: d.headDim * size) }
            }
        } else if layout.dtype == d.dtype {
            for token in 0..<tokens {
                scatter(inside + token * d.headDim * size, memory + (outside + token * strides.token) * width, size)
            }
        } else {
            for token in 0..<tokens {
                convert(inside + token * d.headDim * size, memory + (outside + token * strides.token) * width, row)
            }
        }
    }

    /// One token's elements of the same type, whose step outside is not one.
    private func scatter(_ here: UnsafeMutableRawPointer, _ there: UnsafeMutableRawPointer, _ size: Int) {
        let (count, step) = (pool.description.headDim, strides.dim)
        if size == 2 {
            let (a, b) = (here.assumingMemoryBound(to: UInt16.self), there.assumingMemoryBound(to: UInt16.self))
            if exporting { for i in 0..<count { b[i * step] = a[i] } } else { for i in 0..<count { a[i] = b[i * step] } }
        } else {
            let (a, b) = (here.assumingMemoryBound(to: UInt32.self), there.assumingMemoryBound(to: UInt32.self))
            if exporting { for i in 0..<count { b[i * step] = a[i] } } else { for i in 0..<count { a[i] = b[i * step] } }
        }
    }

    /// One token's elements through f32, rounded to nearest even.
    private func convert(_ here: UnsafeMutableRawPointer, _ there: UnsafeMutableRawPointer, _ row: UnsafeMutablePointer<Float>) {
        let d = pool.description
        let (count, step, width) = (d.headDim, strides.dim, layout.dtype.blockBytes)
        if exporting {
            kernels.pointee.dequantise(d.dtype.kernelType, here, row, count)
            for i in 0..<count { put(row[i], layout.dtype, there + i * step * width) }
        } else {
            for i in 0..<count { row[i] = get(layout.dtype, there + i * step * width) }
            for i in 0..<count { put(row[i], d.dtype, here + i * d.dtype.blockBytes) }
        }
    }

    private func put(_ value: Float, _ dtype: DType, _ target: UnsafeMutableRawPointer) {
        var value = value
        if dtype == .f32 { target.storeBytes(of: value, as: Float.self) } else {
            kernels.pointee.narrow(dtype.kernelType, &value, target.assumingMemoryBound(to: UInt16.self), 1)
        }
    }

    private func get(_ dtype: DType, _ source: UnsafeRawPointer) -> Float {
        var value: Float = 0
        kernels.pointee.dequantise(dtype.kernelType, source, &value, 1)
        return value
    }
}
