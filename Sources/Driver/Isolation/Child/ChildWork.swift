import CDriver
import CIsolation
import Glibc
import Synchronization

/// One call on its way through the child: its arguments as they are read, and the tables it is made on.
final class ChildWork {
    let driver: ChildDriver
    let call: ChildCall
    let descriptors: [Int32]
    let channel: Channel
    let tables: ChildDriver.Tables
    let arena = Arena()
    var reader: WireReader
    var answer = ChildAnswer()
    var objects: ChildObjects { driver.objects }

    init(driver: ChildDriver, call: ChildCall, descriptors: [Int32], channel: Channel, reader: WireReader, tables: ChildDriver.Tables) {
        (self.driver, self.call, self.descriptors, self.channel, self.reader, self.tables) = (driver, call, descriptors, channel, reader, tables)
    }

    func handle(_ id: UInt64) throws(WireError) -> OpaquePointer? { try objects.handle(id) }
    func takeHandle() throws(WireError) -> OpaquePointer? { try handle(try reader.take()) }

    /// Makes the call and keeps its code and words; a missing slot is UNIMPLEMENTED.
    func make<F>(_ slot: F?, _ body: (F, UnsafeMutablePointer<baton_status>) -> baton_code) {
        guard let slot else {
            answer = ChildAnswer(refusing: DriverError.Code.unimplemented.rawValue, "the driver's table has no such function")
            return
        }
        var status = baton_status()
        status.size = UInt32(MemoryLayout<baton_status>.size)
        answer.code = body(slot, &status)
        guard answer.code != 0 else { return }
        answer.vendorCode = status.vendor_code
        let count = Int(min(status.message_length, 492))
        answer.words = withUnsafeBytes(of: status.message) { String(decoding: $0.prefix(count), as: UTF8.self) }
    }

    // MARK: device.h, and describe

    func device() throws(WireError) -> ChildAnswer {
        switch call {
        case .describe:
            let options = try reader.takeOptions(in: arena)
            let out = try reader.take(struct: baton_device_info.self, in: arena)
            make(tables.driver.describe) { $0(options, out, $1) }
            answer.payload.put(info: answer.code == 0 ? out : nil)
            return answer
        case .open:
            let options = try reader.takeOptions(in: arena)
            var device: OpaquePointer?
            let hasPlace = try reader.takeFlag()
            make(tables.device.open) { open, status in hasPlace ? open(options, &device, status) : open(options, nil, status) }
            answer.payload.put(answer.code == 0 ? objects.add(.device, device, on: 0) : 0)
            return answer
        default: break
        }
        let id: UInt64 = try reader.take()
        let device = try handle(id)
        switch call {
        case .info:
            let out = try reader.take(struct: baton_device_info.self, in: arena)
            make(tables.device.info) { $0(device, out, $1) }
            answer.payload.put(info: answer.code == 0 ? out : nil)
        case .health: make(tables.device.health) { $0(device, $1) }
        case .quiesce:
            let timeout: UInt64 = try reader.take()
            make(tables.device.quiesce) { $0(device, timeout, $1) }
            answer.payload.put(driver.server.notices.load(ordering: .sequentiallyConsistent))
        default:
            _ = try objects.take(id)
            tables.device.close?(device)
            objects.closed(id)
        }
        return answer
    }

    // MARK: memory

    /// A range of memory, and what this call alone was lent of it.
    struct Named {
        var memory: UnsafeMutablePointer<baton_memory>?
        /// Came by descriptor, so that a driver that takes none can be given it mapped.
        var descriptor: Int32?
    }

    func takeMemory() throws(WireError) -> Named {
        guard let form = MemoryArgument.Form(rawValue: try reader.take()) else { throw WireError("memory of an unknown form") }
        guard form != .absent else { return Named() }
        guard let memory = try reader.take(struct: baton_memory.self, in: arena) else { throw WireError("memory without its struct") }
        switch form {
        case .segment:
            memory.pointee.address = try objects.address(in: try reader.take(), at: try reader.take(), count: memory.pointee.length)
            memory.pointee.offset = 0
        case .asItIs where memory.pointee.kind == BATON_MEMORY_MEMFD || memory.pointee.kind == BATON_MEMORY_DMABUF:
            memory.pointee.descriptor = Int64(descriptors.first ?? -1)
            return Named(memory: memory, descriptor: descriptors.first)
        case .asItIs:
            // An address of the host's means nothing here.
            if memory.pointee.kind == BATON_MEMORY_HOST { memory.pointee.address = 0 }
        case .ownAddress: memory.pointee.key = 0
        case .absent: break
        }
        return Named(memory: memory)
    }

    /// Memory that the driver named, and with it the descriptor.
    func put(named memory: baton_memory) {
        var memory = memory
        if memory.kind == BATON_MEMORY_MEMFD || memory.kind == BATON_MEMORY_DMABUF {
            if let descriptor = Int32(exactly: memory.descriptor), descriptor >= 0 { answer.descriptors = [descriptor] }
        }
        withUnsafePointer(to: &memory) { answer.payload.put(struct: $0) }
    }

    // MARK: memory that both see

    func segment() throws(WireError) -> ChildAnswer {
        let id: UInt64 = try reader.take()
        guard call == .addSegment else {
            objects.drop(segment: id)
            return answer
        }
        guard let descriptor = descriptors.first else { throw WireError("shared memory without a descriptor") }
        try objects.add(segment: id, descriptor, count: try reader.take())
        return answer
    }

    // MARK: cost.h

    func cost() throws(WireError) -> ChildAnswer {
        let options = try reader.takeOptions(in: arena)
        let program = try reader.takeProgram(in: arena) { _ throws(WireError) in nil }
        let desc = program.map { UnsafePointer($0.desc) }
        if call == .estimate {
            let work = try reader.take(struct: baton_work.self, in: arena)
            let out = try reader.take(struct: baton_cost.self, in: arena)
            make(tables.cost?.estimate) { $0(options, desc, work, out, $1) }
            answer.payload.put(struct: out.map { UnsafePointer($0) })
        } else {
            let (tokens, dtype): (UInt64, UInt32) = (try reader.take(), try reader.take())
            let out = try reader.take(struct: baton_memory_need.self, in: arena)
            make(tables.cost?.memory) { $0(options, desc, tokens, dtype, out, $1) }
            answer.payload.put(struct: out.map { UnsafePointer($0) })
        }
        return answer
    }
}
