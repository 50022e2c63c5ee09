import CDriver
import CIsolation
import Synchronization

/// The tables that an isolated driver gives out: the slots that the child's driver has, no others, and no longer than its tables are. Made once and kept for the
/// life of the process, as a driver's own are.
final class IsolatedTables: @unchecked Sendable {
    /// Addresses, by name.
    private let store = Mutex<[String: UInt]>([:])

    private func kept<T: ContractStruct>(_ name: String, _ said: (size: UInt32, mask: UInt64)?, _ full: () -> T) -> UnsafePointer<T>? {
        guard let said else { return nil }
        let address = store.withLock { store -> UInt in
            if let there = store[name] { return there }
            let table = UnsafeMutablePointer<T>.allocate(capacity: 1)
            table.initialize(to: full())
            let raw = UnsafeMutableRawPointer(table)
            for slot in 0..<(MemoryLayout<T>.size / 8 - 1) where said.mask & (1 << UInt64(slot)) == 0 {
                raw.storeBytes(of: 0, toByteOffset: 8 + slot * 8, as: UInt64.self)
            }
            table.pointee.size = min(said.size, UInt32(MemoryLayout<T>.size))
            store[name] = UInt(bitPattern: table)
            return UInt(bitPattern: table)
        }
        return UnsafePointer(bitPattern: address)
    }

    func options(_ list: [baton_option_info]) -> UnsafePointer<baton_option_info>? {
        guard !list.isEmpty else { return nil }
        let copies = list.prefix(256)
        let address = store.withLock { store -> UInt in
            if let there = store["options"] { return there }
            let room = UnsafeMutablePointer<baton_option_info>.allocate(capacity: 256)
            for (index, option) in copies.enumerated() { (room + index).initialize(to: option) }
            store["options"] = UInt(bitPattern: room)
            return UInt(bitPattern: room)
        }
        return UnsafePointer(bitPattern: address)
    }

    func device(_ said: (size: UInt32, mask: UInt64)?, _ functions: cisolation_slot) -> UnsafePointer<baton_device_table>? {
        kept("device", said) { RemoteTables.deviceTable(functions) }
    }
    func buffer(_ said: (size: UInt32, mask: UInt64)?) -> UnsafePointer<baton_buffer_table>? { kept("buffer", said) { RemoteTables.bufferTable() } }
    func program(_ said: (size: UInt32, mask: UInt64)?) -> UnsafePointer<baton_program_table>? { kept("program", said) { RemoteTables.programTable() } }
    func timeline(_ said: (size: UInt32, mask: UInt64)?) -> UnsafePointer<baton_timeline_table>? { kept("timeline", said) { RemoteTables.timelineTable() } }

    /// A known interface's table; nil for one whose functions this side does not know.
    func interface(_ id: String, _ version: UInt32, size: UInt32, mask: UInt64, _ functions: cisolation_slot) -> UnsafeRawPointer? {
        switch (id, version) {
        case (BATON_KV_INTERFACE, BATON_KV_VERSION): kept("kv", (size, mask)) { RemoteTables.kvTable(functions) }.map { UnsafeRawPointer($0) }
        case (BATON_COST_INTERFACE, BATON_COST_VERSION): kept("cost", (size, mask)) { RemoteTables.costTable(functions) }.map { UnsafeRawPointer($0) }
        default: nil
        }
    }

    /// A bit for each slot that a table has, beside its size; what the child says of its driver's tables.
    static func said<T: ContractStruct>(_ pointer: UnsafePointer<T>?) -> (size: UInt32, mask: UInt64)? {
        guard let table = T.copied(from: pointer) else { return nil }
        var mask: UInt64 = 0
        withUnsafeBytes(of: table) { bytes in
            for slot in 0..<(bytes.count / 8 - 1) where bytes.loadUnaligned(fromByteOffset: 8 + slot * 8, as: UInt64.self) != 0 { mask |= 1 << UInt64(slot) }
        }
        return (table.size, mask)
    }
}

/// Tables whose every function makes its call in the child that its handles belong to.
enum RemoteTables {
    static func costTable(_ functions: cisolation_slot) -> baton_cost_table {
        var table = baton_cost_table.sized()
        table.estimate = functions.estimate
        table.memory = functions.memory
        return table
    }
}
