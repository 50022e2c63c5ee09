import CDriver
import CIsolation
import Glibc
import Synchronization

/// One call of the contract, made in the child: arguments go out, the answer comes back, a failure keeps the driver's own words.
enum Forward {
    typealias Reply = ChildConnection.Reply

    /// What is put into a channel's segment before a call.
    struct Preparation { var run: (Channel) -> Void }

    /// A call on a device.
    static func device(
        _ call: ChildCall, _ device: OpaquePointer?, _ status: UnsafeMutablePointer<baton_status>?, seconds: Int? = nil, tag: UInt64 = 0, spins: Int32 = 0,
        descriptors: [Int32] = [], prepare: Preparation? = nil, body: (inout WireWriter) throws(DriverError) -> Void = { _ throws(DriverError) in },
        read: (inout Reply, RemoteObject) throws(WireError) -> Void = { _, _ throws(WireError) in }
    ) -> baton_code {
        guard let object = RemoteObject.at(device) else {
            return fill(status, DriverError.Code.invalidArgument.rawValue, 0, "\(call.words) has no device; pass one that is open")
        }
        return made(status) { () throws(DriverError) in
            var writer = WireWriter()
            writer.put(object.id)
            try body(&writer)
            return try object.connection.call(call, writer.bytes, descriptors: descriptors, seconds: seconds, tag: tag, spins: spins, prepare: { prepare?.run($0) }) { reply throws(WireError) in
                if !reply.isBare { try read(&reply, object) }
                return answer(reply, status)
            }
        }
    }

    /// A call that names no device.
    static func driver(
        _ call: ChildCall, _ slot: UInt32, _ status: UnsafeMutablePointer<baton_status>?, seconds: Int? = nil,
        body: (inout WireWriter) throws(DriverError) -> Void, read: (inout Reply, ChildConnection) throws(WireError) -> Void
    ) -> baton_code {
        made(status) { () throws(DriverError) in
            guard let driver = IsolatedSlots.driver(slot) else {
                throw DriverError(.unavailable, driver: "", call: call.words, detail: "the driver's child has been closed")
            }
            var writer = WireWriter()
            try body(&writer)
            let connection = try driver.connection()
            return try connection.call(call, writer.bytes, seconds: seconds) { reply throws(WireError) in
                if !reply.isBare { try read(&reply, connection) }
                return answer(reply, status)
            }
        }
    }

    private static func answer(_ reply: Reply, _ status: UnsafeMutablePointer<baton_status>?) -> baton_code {
        reply.code == 0 ? 0 : fill(status, reply.code, reply.vendorCode, reply.words)
    }

    static func made(_ status: UnsafeMutablePointer<baton_status>?, _ body: () throws(DriverError) -> baton_code) -> baton_code {
        do throws(DriverError) { return try body() } catch {
            return fill(status, error.code.rawValue, error.vendorCode, error.driver.isEmpty ? error.detail : "\(error.driver): \(error.detail)")
        }
    }

    /// Writes a failure where it was asked for, as far as the struct goes.
    static func fill(_ status: UnsafeMutablePointer<baton_status>?, _ code: baton_code, _ vendor: Int64, _ words: String) -> baton_code {
        guard let status else { return code }
        let raw = UnsafeMutableRawPointer(status)
        let size = Int(min(raw.loadUnaligned(as: UInt32.self), UInt32(MemoryLayout<baton_status>.size)))
        let place = MemoryLayout<baton_status>.offset(of: \.message) ?? 20
        let text = Array(words.utf8.prefix(max(0, min(size - place, 492))))
        if size >= 8 { raw.storeBytes(of: code, toByteOffset: 4, as: Int32.self) }
        if size >= 16 { raw.storeBytes(of: vendor, toByteOffset: 8, as: Int64.self) }
        if size >= place { raw.storeBytes(of: UInt32(text.count), toByteOffset: 16, as: UInt32.self) }
        text.withUnsafeBytes { bytes in
            if let base = bytes.baseAddress, !text.isEmpty { (raw + place).copyMemory(from: base, byteCount: bytes.count) }
        }
        return code
    }

    /// The child's number of a handle; 0 for none. A handle of another child is refused.
    static func id(_ handle: OpaquePointer?, beside device: OpaquePointer?) throws(DriverError) -> UInt64 {
        guard let object = RemoteObject.at(handle) else { return 0 }
        guard let other = RemoteObject.at(device), object.connection === other.connection else {
            throw DriverError(
                .invalidArgument, driver: "", call: "handle",
                detail: object.connection.failure.map { "the \(object.kind) is lost with its process: \($0)" }
                    ?? "the \(object.kind) is of another process than the device; make it on this device")
        }
        return object.id
    }

    static func id(_ handle: OpaquePointer?, beside device: OpaquePointer?, to writer: inout WireWriter) throws(DriverError) {
        writer.put(try id(handle, beside: device))
    }

    /// Copies a struct that the child filled over the caller's, as far as that one goes.
    static func write<T: ContractStruct>(_ value: T, to out: UnsafeMutablePointer<T>?) {
        guard let out else { return }
        let raw = UnsafeMutableRawPointer(out)
        let size = Int(min(raw.loadUnaligned(as: UInt32.self), UInt32(MemoryLayout<T>.size)))
        var copy = value
        copy.size = UInt32(size)
        withUnsafeBytes(of: &copy) { bytes in
            if let base = bytes.baseAddress { raw.copyMemory(from: base, byteCount: size) }
        }
    }

    /// A struct of plain numbers, as the child's driver left it.
    static func take<T: ContractStruct>(_: T.Type, _ reader: inout WireReader) throws(WireError) -> T? {
        guard let bytes = try reader.takeBytes(limit: Int(Wire.structLimit)) else { return nil }
        var value = T()
        withUnsafeMutableBytes(of: &value) { room in
            for (index, byte) in bytes.prefix(room.count).enumerated() { room[index] = byte }
        }
        return value
    }
}

/// Text and numbers that a driver hands out for the life of the process, each kept once; a child that hands out ever new ones gets none in the end.
enum Kept {
    private struct Store: @unchecked Sendable {
        var texts: [String: UnsafePointer<CChar>] = [:]
        var numbers: [[UInt32]: UnsafePointer<UInt32>] = [:]
        var bytes = 0
    }
    private static let store = Mutex(Store())
    private static let limit = 16 << 20

    static func text(_ text: String) -> baton_string {
        let bytes = Array(text.utf8)
        guard !bytes.isEmpty else { return baton_string() }
        let data = store.withLock { store -> UnsafePointer<CChar>? in
            if let there = store.texts[text] { return there }
            guard store.bytes + bytes.count <= limit else { return nil }
            let room = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
            for (index, byte) in bytes.enumerated() { room[index] = CChar(bitPattern: byte) }
            store.bytes += bytes.count
            store.texts[text] = UnsafePointer(room)
            return UnsafePointer(room)
        }
        return data.map { baton_string(data: $0, length: UInt64(bytes.count)) } ?? baton_string()
    }

    static func numbers(_ list: [UInt32]) -> UnsafePointer<UInt32>? {
        guard !list.isEmpty else { return nil }
        return store.withLock { store in
            if let there = store.numbers[list] { return there }
            guard store.bytes + list.count * 4 <= limit else { return nil }
            let room = UnsafeMutablePointer<UInt32>.allocate(capacity: list.count)
            for (index, number) in list.enumerated() { room[index] = number }
            store.bytes += list.count * 4
            store.numbers[list] = UnsafePointer(room)
            return UnsafePointer(room)
        }
    }
}
