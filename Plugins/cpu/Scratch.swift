import DriverKit

/// Scratch that grows and is kept: one for each use in a device's queue, so that running allocates only when a batch is larger than any before.
final class Scratch: @unchecked Sendable {
    private(set) var base: UnsafeMutableRawPointer = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 64)
    private var count = 64

    /// At least `bytes` bytes, 64-byte aligned; what was in it before is lost when it grows.
    func room(_ bytes: Int) -> UnsafeMutableRawPointer {
        if bytes > count {
            base.deallocate()
            base = .allocate(byteCount: bytes, alignment: 64)
            count = bytes
        }
        return base
    }

    func floats(_ count: Int) -> UnsafeMutablePointer<Float> { room(count * 4).assumingMemoryBound(to: Float.self) }

    deinit { base.deallocate() }
}
