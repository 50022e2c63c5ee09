import CPUKernels
import DriverKit

/// Where a pool's KV lies: plain numbers, nothing counted while workers pass it on. The pool outlives it.
struct KVStorage: @unchecked Sendable {
    let base: UnsafeMutableRawPointer
    let blockBytes, layerBytes, planeBytes, rowBytes: Int
    let layers: Range<Int>
    let blockTokens, kvHeads, headDim: Int
    let type: Int32

    init(_ pool: Pool) {
        let d = pool.description
        base = pool.base
        (blockBytes, layerBytes, planeBytes, rowBytes) = (pool.blockBytes, pool.layerBytes, pool.planeBytes, d.headDim * d.dtype.blockBytes)
        layers = d.firstLayer..<d.firstLayer + d.layers
        (blockTokens, kvHeads, headDim) = (d.blockTokens, d.kvHeads, d.headDim)
        type = d.dtype.kernelType
    }

    /// Where a layer counted in the whole model begins in block 0; the next block's is `blockBytes` on.
    func layer(_ layer: Int) -> UnsafeMutableRawPointer { base + (layer - layers.lowerBound) * layerBytes }

    /// Some heads of k and v, [kvHeads * headDim], of the token `offset` in `block`; into the pool's dtype.
    func put(
        _ k: UnsafePointer<Float>, _ v: UnsafePointer<Float>, heads: Range<Int>, layer: Int, block: Int, offset: Int, _ kernels: UnsafePointer<cpuk_table>
    ) {
        let first = self.layer(layer) + block * blockBytes + offset * rowBytes
        for head in heads {
            let target = first + head * blockTokens * rowBytes
            narrow(k + head * headDim, target, kernels)
            narrow(v + head * headDim, target + planeBytes, kernels)
        }
    }

    /// The block that `position` lies in, counted in its sequence, and where in it.
    func place(_ position: Int) -> (block: Int, offset: Int) { (position / blockTokens, position % blockTokens) }

    private func narrow(_ row: UnsafePointer<Float>, _ target: UnsafeMutableRawPointer, _ kernels: UnsafePointer<cpuk_table>) {
        if type == Int32(CPUK_F32.rawValue) {
            target.assumingMemoryBound(to: Float.self).update(from: row, count: headDim)
        } else {
            kernels.pointee.narrow(type, row, target.assumingMemoryBound(to: UInt16.self), headDim)
        }
    }
}
