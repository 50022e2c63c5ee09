import CDriver

/// Memory of a device. Owned once; released when it goes. Keeps its device open.
public struct Buffer: ~Copyable, @unchecked Sendable {
    public let device: Device
    /// Bytes.
    public let count: Int
    let handle: OpaquePointer

    /// `count` zeroed bytes on the device. A count or offset below 0 reaches the driver as one beyond all memory, which it refuses.
    public init(allocating count: Int, on device: Device) throws(DriverError) {
        let allocate = try slot(device.library.buffer.allocate, device.library.name, "allocate")
        var handle: OpaquePointer?
        try contractCall(device.library.name, "allocate") { allocate(device.handle, UInt64(truncatingIfNeeded: count), &handle, $0) }
        self.init(device, try given(handle, device, "allocate"), count)
    }

    /// Memory that exists already, such as mapped weights; without a copy where the device can. It outlives the buffer.
    public init(importing memory: MemoryName, writable: Bool, on device: Device) throws(DriverError) {
        let importMemory = try slot(device.library.buffer.import_memory, device.library.name, "import_memory")
        var handle: OpaquePointer?
        var raw = memory.raw
        let access = UInt32(BATON_ACCESS_READ | (writable ? BATON_ACCESS_WRITE : 0))
        try contractCall(device.library.name, "import_memory") { importMemory(device.handle, &raw, access, &handle, $0) }
        self.init(device, try given(handle, device, "import_memory"), Int(raw.length))
    }

    private init(_ device: Device, _ handle: OpaquePointer, _ count: Int) {
        self.device = device
        self.handle = handle
        self.count = count
    }

    /// Copies bytes into the buffer from `offset`. Blocks until the source may be reused.
    public borrowing func write(_ source: UnsafeRawBufferPointer, at offset: Int = 0) throws(DriverError) {
        let write = try slot(device.library.buffer.write, device.library.name, "write")
        try contractCall(device.library.name, "write") {
            write(device.handle, handle, UInt64(truncatingIfNeeded: offset), source.baseAddress, UInt64(source.count), $0)
        }
    }

    /// Copies bytes of the buffer from `offset` into `destination`. Blocks.
    public borrowing func read(into destination: UnsafeMutableRawBufferPointer, at offset: Int = 0) throws(DriverError) {
        let read = try slot(device.library.buffer.read, device.library.name, "read")
        try contractCall(device.library.name, "read") {
            read(device.handle, handle, UInt64(truncatingIfNeeded: offset), destination.baseAddress, UInt64(destination.count), $0)
        }
    }

    /// The buffer's own bytes, without a copy, until `unmap`; nil where the host does not see them: then `read`. Only of a driver that runs in this
    /// process with no layer around it: what a layer does to a read is to be seen.
    public borrowing func map() throws(DriverError) -> UnsafeMutableRawBufferPointer? {
        let library = device.library
        guard !library.isIsolated, library.layers.isEmpty, let map = library.buffer.map, library.buffer.unmap != nil else { return nil }
        var base: UnsafeMutableRawPointer?
        do throws(DriverError) {
            try contractCall(library.name, "map") { map(device.handle, handle, UInt32(BATON_ACCESS_READ | BATON_ACCESS_WRITE), &base, $0) }
        } catch {
            guard error.code == .unimplemented else { throw error }
            return nil
        }
        guard let base else { throw DriverError(.internal, driver: library.name, call: "map", detail: "the driver said OK and gave nothing") }
        return UnsafeMutableRawBufferPointer(start: base, count: count)
    }

    /// Ends a `map` that gave bytes.
    public borrowing func unmap() { device.library.buffer.unmap?(device.handle, handle) }

    deinit { device.library.buffer.release?(device.handle, handle) }
}

/// The handle a driver gave, or an error that it gave none.
func given(_ handle: OpaquePointer?, _ device: Device, _ call: StaticString) throws(DriverError) -> OpaquePointer {
    guard let handle else {
        throw DriverError(.internal, driver: device.library.name, call: "\(call)", detail: "the driver said OK and gave nothing")
    }
    return handle
}
