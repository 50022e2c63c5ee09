import CDriver

/// An open device. Closing it (when the last reference goes) quiesces it first; buffers, programs, pools and timelines keep it open.
/// Any thread may use it.
public final class Device: @unchecked Sendable {
    public let library: DriverLibrary
    /// The name the manifest gave it.
    public let label: String
    public let info: DeviceInfo
    /// What it was opened with.
    public let options: DriverOptions
    let handle: OpaquePointer
    private static let patience: UInt64 = 5_000_000_000

    /// Opens a device of `library`. Blocks as long as the driver's open does.
    public init(opening library: DriverLibrary, label: String, options: DriverOptions) throws(DriverError) {
        let handle = try library.openRaw(options)
        self.library = library
        self.label = label
        self.options = options
        self.handle = handle
        do throws(DriverError) {
            var raw = baton_device_info.sized()
            let read = try slot(library.device.info, library.name, "info")
            try contractCall(library.name, "info") { read(handle, &raw, $0) }
            info = DeviceInfo(raw)
        } catch {
            library.device.close?(handle)
            throw error
        }
    }

    /// Throws why the device no longer works, if it does not. Does not block.
    public func checkHealth() throws(DriverError) {
        let health = try slot(library.device.health, library.name, "health")
        try contractCall(library.name, "health") { health(handle, $0) }
    }

    /// Refuses new work and waits up to `nanoseconds` for what was accepted; what is left then is cancelled. No callback runs afterwards.
    public func quiesce(nanoseconds: UInt64) throws(DriverError) {
        let quiesce = try slot(library.device.quiesce, library.name, "quiesce")
        try contractCall(library.name, "quiesce") { quiesce(handle, nanoseconds, $0) }
    }

    deinit {
        _ = library.device.quiesce?(handle, Self.patience, nil)
        library.device.close?(handle)
    }
}
