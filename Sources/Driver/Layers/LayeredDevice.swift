import Synchronization

/// An open device behind layers. Its address is the handle that the host holds; it is kept for ever, so that a call after close is told apart.
final class LayeredDevice: @unchecked Sendable {
    let driver: LayeredDriver
    /// The driver's own handle.
    let inner: OpaquePointer
    /// Counts devices of the process from 1.
    let number: Int

    private struct Known {
        var open: [UInt: LayeredDevice] = [:]
        var made = 0
    }
    private static let known = Mutex(Known())

    private init(_ driver: LayeredDriver, _ inner: OpaquePointer, _ number: Int) {
        self.driver = driver
        self.inner = inner
        self.number = number
    }

    /// Gives the handle for a device that the driver has opened.
    static func make(_ driver: LayeredDriver, _ inner: OpaquePointer) -> OpaquePointer {
        let number = known.withLock { known in
            known.made += 1
            return known.made
        }
        let device = LayeredDevice(driver, inner, number)
        let address = UInt(bitPattern: Unmanaged.passRetained(device).toOpaque())
        known.withLock { $0.open[address] = device }
        return OpaquePointer(Unmanaged.passUnretained(device).toOpaque())
    }

    /// The open device of a handle; nil for null, for one that was closed, and for what never was one.
    static func find(_ handle: OpaquePointer?) -> LayeredDevice? {
        guard let handle else { return nil }
        let address = UInt(bitPattern: handle)
        return known.withLock { $0.open[address] }
    }

    static func forget(_ handle: OpaquePointer) {
        let address = UInt(bitPattern: handle)
        known.withLock { _ = $0.open.removeValue(forKey: address) }
    }
}
