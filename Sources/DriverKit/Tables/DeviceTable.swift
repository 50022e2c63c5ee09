import CDriver
import Synchronization

extension DriverKit {
    static func deviceTable() -> baton_device_table {
        var table = baton_device_table()
        table.size = UInt32(MemoryLayout<baton_device_table>.size)
        table.open = { options, out, status in
            DriverKit.guarded(status) { () throws(DriverFailure) in
                let plugin = try DriverKit.loaded()
                guard let out else { throw .invalid("open has no place for the device; pass one") }
                let device = try plugin.definition.open(try Options(options, plugin.options), host: plugin.host)
                out.pointee = Handle.make(.device, DeviceHandle(device))
            }
        }
        table.info = { device, out, status in
            DriverKit.guarded(status) { () throws(DriverFailure) in
                let device = try Find.device(device)
                guard let out else { throw .invalid("info has no place for its answer; pass one") }
                device.implementation.info.contract.write(to: out)
            }
        }
        table.health = { device, status in
            DriverKit.guarded(status) { () throws(DriverFailure) in try Find.device(device).implementation.health() }
        }
        table.quiesce = { device, timeout, status in
            DriverKit.guarded(status) { () throws(DriverFailure) in try DriverKit.quiesce(try Find.device(device), timeout) }
        }
        table.close = { device in
            guard let device = Handle.release(device, .device) as? DeviceHandle else { return }
            if !device.quiesced.load(ordering: .acquiring) {
                _ = DriverKit.guarded(nil) { () throws(DriverFailure) in try DriverKit.quiesce(device, 0) }
            }
            device.releaseAll()
            device.implementation.close()
        }
        return table
    }

    /// The queues first, whose ends still call back; then no callback any more.
    private static func quiesce(_ device: DeviceHandle, _ timeout: UInt64) throws(DriverFailure) {
        guard !device.gate.isInside else {
            throw DriverFailure(.failedPrecondition, "quiesce is called inside a callback, which it would wait for; call it from another thread")
        }
        device.quiesced.store(true, ordering: .releasing)
        defer { device.gate.close() }
        try device.implementation.quiesce(timeout: timeout)
    }
}
