import CDriver
import CIsolation

/// The calls of the contract that name no device, for the child that their slot belongs to.
enum IsolatedCalls {
    private static let installed: Void = {
        var calls = cisolation_calls()
        calls.entry = { slot, host, out in IsolatedCalls.entry(slot, host, out) }
        calls.get_interface = { slot, id, version in IsolatedCalls.interface(slot, String(id), version) }
        calls.describe = { slot, options, out, status in
            Forward.driver(.describe, slot, status) { writer throws(DriverError) in
                writer.put(options: options)
                writer.put(struct: out.map { UnsafePointer($0) })
            } read: { reply, _ throws(WireError) in
                if let info = try reply.reader.takeDeviceInfo() { Forward.write(info, to: out) }
            }
        }
        calls.open = { slot, options, out, status in
            Forward.driver(.open, slot, status, seconds: 600) { writer throws(DriverError) in
                writer.put(options: options)
                writer.put(out != nil)
            } read: { reply, connection throws(WireError) in
                let id: UInt64 = try reply.reader.take()
                if reply.code == 0 { out?.pointee = RemoteObject(.device, id, of: connection, on: nil).handle() }
            }
        }
        calls.layouts = { slot, options, desc, importing, out, capacity, count, status in
            Forward.driver(.layouts, slot, status) { writer throws(DriverError) in
                writer.put(options: options)
                writer.put(struct: desc)
                writer.put(importing)
                writer.put(out != nil)
                writer.put(capacity)
                writer.put(count != nil)
            } read: { reply, _ throws(WireError) in
                let found: UInt32 = try reply.reader.take()
                let written = try reply.reader.takeCount(of: 4, limit: 4_096)
                // As far apart as the caller's first one says.
                let stated = Int(out?.pointee.size ?? 0)
                let stride = stated > 0 ? stated : MemoryLayout<baton_kv_layout>.size
                for index in 0..<written {
                    guard let layout = try Forward.take(baton_kv_layout.self, &reply.reader) else { continue }
                    guard index < Int(capacity), let out else { continue }
                    withUnsafeBytes(of: layout) { bytes in
                        (UnsafeMutableRawPointer(out) + index * stride).copyMemory(from: bytes.baseAddress ?? UnsafeRawPointer(out), byteCount: min(stride, bytes.count))
                    }
                }
                if reply.code == 0 { count?.pointee = found }
            }
        }
        calls.estimate = { slot, options, desc, work, out, status in
            Forward.driver(.estimate, slot, status) { writer throws(DriverError) in
                writer.put(options: options)
                try IsolatedCalls.put(desc, to: &writer)
                writer.put(struct: work)
                writer.put(struct: out.map { UnsafePointer($0) })
            } read: { reply, _ throws(WireError) in
                if let cost = try Forward.take(baton_cost.self, &reply.reader) { Forward.write(cost, to: out) }
            }
        }
        calls.memory = { slot, options, desc, tokens, dtype, out, status in
            Forward.driver(.memory, slot, status) { writer throws(DriverError) in
                writer.put(options: options)
                try IsolatedCalls.put(desc, to: &writer)
                writer.put(tokens)
                writer.put(dtype)
                writer.put(struct: out.map { UnsafePointer($0) })
            } read: { reply, _ throws(WireError) in
                if let need = try Forward.take(baton_memory_need.self, &reply.reader) { Forward.write(need, to: out) }
            }
        }
        cisolation_set_calls(&calls)
    }()

    static func install() { installed }

    /// A program without buffers.
    private static func put(_ desc: UnsafePointer<baton_program_desc>?, to writer: inout WireWriter) throws(DriverError) {
        try check(desc)
        try writer.put(program: desc) { _ throws(DriverError) in 0 }
    }

    static func check(_ desc: UnsafePointer<baton_program_desc>?) throws(DriverError) {
        guard let desc else { return }
        guard desc.pointee.tensor_count <= 1 << 15, desc.pointee.op_count <= 1 << 15 else {
            throw DriverError(
                .invalidArgument, driver: "", call: "compile",
                detail: "a program of \(desc.pointee.tensor_count) tensors and \(desc.pointee.op_count) operations; a driver in a child takes up to \(1 << 15) of each")
        }
    }

    /// Negotiates as the driver's own entry does, and fills in functions that lead to the child.
    private static func entry(_ slot: UInt32, _ host: UnsafePointer<baton_host>?, _ out: UnsafeMutablePointer<baton_driver>?) -> baton_code {
        guard let driver = IsolatedSlots.driver(slot), let host, let out else { return DriverError.Code.invalidArgument.rawValue }
        func say(_ words: String) { words.withContractString { host.pointee.log?(host.pointee.context, 4, $0) } }
        var body = WireWriter()
        body.put(host.pointee.size)
        for version in [host.pointee.abi_min, host.pointee.abi_max] {
            body.put(version.major)
            body.put(version.minor)
        }
        body.put(out.pointee.size)
        do throws(DriverError) {
            let connection = try driver.connection()
            return try connection.call(.entry, body.bytes, seconds: driver.isolation.entryDeadline) { reply throws(WireError) in
                guard !reply.isBare else {
                    say(reply.words)
                    return reply.code
                }
                let said = try EntryReply(&reply.reader)
                for line in said.words { line.withContractString { host.pointee.log?(host.pointee.context, 2, $0) } }
                said.write(to: out, driver)
                if said.code == 0 { driver.greet(with: body.bytes) }
                return said.code
            }
        } catch {
            say(error.detail)
            return error.code.rawValue
        }
    }

    private static func interface(_ slot: UInt32, _ id: String, _ version: UInt32) -> UnsafeRawPointer? {
        guard let driver = IsolatedSlots.driver(slot) else { return nil }
        var body = WireWriter()
        body.put(id)
        body.put(version)
        do throws(DriverError) {
            let found: (size: UInt32, mask: UInt64)? = try driver.connection().call(.interface, body.bytes) { reply throws(WireError) in
                try reply.reader.takeFlag() ? (try reply.reader.take(), try reply.reader.take()) : nil
            }
            guard let found else { return nil }
            return driver.tables.interface(id, version, size: found.size, mask: found.mask, driver.functions)
        } catch { return nil }
    }
}

/// What the child's driver said at its entry.
struct EntryReply {
    var code: baton_code
    var words: [String] = []
    private var raw = baton_driver()
    private var name: String
    private var version: String
    private var vendor: String
    private var options: [baton_option_info] = []
    /// Of device, buffer, program, timeline: size, and a bit for each slot that is there. nil: no table.
    private var tables: [(size: UInt32, mask: UInt64)?] = []
    private var hasInterfaces: Bool
    private var hasDescribe: Bool

    init(_ reader: inout WireReader) throws(WireError) {
        code = try reader.take()
        for _ in 0..<(try reader.takeCount(of: 4, limit: 256)) { words.append(try reader.takeText(limit: 4_096)) }
        raw.size = try reader.take()
        raw.abi_min = baton_version(major: try reader.take(), minor: try reader.take())
        raw.abi_max = baton_version(major: try reader.take(), minor: try reader.take())
        raw.abi = baton_version(major: try reader.take(), minor: try reader.take())
        (name, version, vendor) = (try reader.takeText(), try reader.takeText(), try reader.takeText())
        for _ in 0..<(try reader.takeCount(of: 24, limit: 256)) {
            var option = baton_option_info()
            option.size = UInt32(MemoryLayout<baton_option_info>.size)
            option.kind = try reader.take()
            option.name = Kept.text(try reader.takeText())
            option.default_value = Kept.text(try reader.takeText())
            option.choices = Kept.text(try reader.takeText())
            option.unit = Kept.text(try reader.takeText())
            option.help = Kept.text(try reader.takeText())
            option.minimum = try reader.takeDouble()
            option.maximum = try reader.takeDouble()
            options.append(option)
        }
        for _ in 0..<4 { tables.append(try reader.takeFlag() ? (try reader.take(), try reader.take()) : nil) }
        (hasInterfaces, hasDescribe) = (try reader.takeFlag(), try reader.takeFlag())
        try reader.end()
    }

    /// As far as the caller's struct and the driver's word go.
    func write(to out: UnsafeMutablePointer<baton_driver>, _ driver: IsolatedDriver) {
        var made = raw
        let size = min(out.pointee.size, raw.size, UInt32(MemoryLayout<baton_driver>.size))
        made.size = size
        made.name = Kept.text(name)
        made.version = Kept.text(version)
        made.vendor = Kept.text(vendor)
        made.options = driver.tables.options(options)
        made.option_count = UInt32(options.count)
        made.device = driver.tables.device(tables[0], driver.functions)
        made.buffer = driver.tables.buffer(tables[1])
        made.program = driver.tables.program(tables[2])
        made.timeline = driver.tables.timeline(tables[3])
        if hasInterfaces { made.get_interface = driver.functions.get_interface }
        if hasDescribe { made.describe = driver.functions.describe }
        withUnsafeBytes(of: &made) { bytes in
            if let base = bytes.baseAddress { UnsafeMutableRawPointer(out).copyMemory(from: base, byteCount: Int(size)) }
        }
    }
}
