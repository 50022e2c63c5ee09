import BuildKit
import CDriver
import Glibc

/// A driver's entry, called as a host of any version would.
enum EntryPoint {
    static func find(in library: String) throws -> baton_driver_entry_function {
        guard let handle = dlopen(library, RTLD_NOW | RTLD_LOCAL), let symbol = dlsym(handle, BATON_DRIVER_ENTRY) else {
            throw ToolError("cannot find the entry of \(library): \(dlerror().map { String(cString: $0) } ?? "")")
        }
        return unsafeBitCast(symbol, to: baton_driver_entry_function.self)
    }

    static func host(from min: (UInt32, UInt32), to max: (UInt32, UInt32)) -> baton_host {
        var host = baton_host()
        host.size = UInt32(MemoryLayout<baton_host>.size)
        host.worker_count = 1
        host.abi_min = baton_version(major: min.0, minor: min.1)
        host.abi_max = baton_version(major: max.0, minor: max.1)
        return host
    }

    static func call(
        _ entry: baton_driver_entry_function, from min: (UInt32, UInt32), to max: (UInt32, UInt32)
    ) -> (code: baton_code, driver: baton_driver) {
        var host = host(from: min, to: max)
        var driver = baton_driver()
        driver.size = UInt32(MemoryLayout<baton_driver>.size)
        let code = entry(&host, &driver)
        return (code, driver)
    }

    /// Calls the entry with `room` bytes of a larger block, which the caller checks afterwards.
    static func call(_ entry: baton_driver_entry_function, into block: UnsafeMutableRawPointer, room: UInt32) -> baton_code {
        var host = host(from: (1, 0), to: (1, 0))
        block.storeBytes(of: room, as: UInt32.self)
        return entry(&host, block.assumingMemoryBound(to: baton_driver.self))
    }

    static func text(_ string: baton_string) -> String {
        guard let data = string.data else { return "" }
        return String(decoding: UnsafeRawBufferPointer(start: data, count: Int(string.length)), as: UTF8.self)
    }

    static func message(_ status: baton_status) -> String {
        withUnsafeBytes(of: status.message) { String(decoding: $0.prefix(Int(status.message_length)), as: UTF8.self) }
    }
}
