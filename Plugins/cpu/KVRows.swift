import CPUKernels
import DriverKit

/// Where K and V of tokens go: one layer of a pool.
struct KVRows: @unchecked Sendable {
    private let storage: UnsafeMutableRawPointer
    private let blockBytes, planeBytes, rowBytes: Int
    private let blockTokens, kvHeads, headDim: Int
    private let type: Int32

    init(_ pool: Pool, layer: Int) {
        let d = pool.description
        storage = pool.layer(layer)
        (blockBytes, planeBytes, rowBytes) = (pool.blockBytes, pool.planeBytes, d.headDim * d.dtype.blockBytes)
        (blockTokens, kvHeads, headDim) = (d.blockTokens, d.kvHeads, d.headDim)
        type = d.dtype.kernelType
    }

    /// k and v: [kvHeads * headDim], of the token `offset` in `block`; into the pool's dtype.
    func put(_ k: UnsafePointer<Float>, _ v: UnsafePointer<Float>, block: Int, offset: Int, _ kernels: UnsafePointer<cpuk_table>) {
        let first = storage + block * blockBytes + offset * rowBytes
        for head in 0..<kvHeads {
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
