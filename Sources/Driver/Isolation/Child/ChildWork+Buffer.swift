import CDriver
import Glibc

extension ChildWork {
    func buffer() throws(WireError) -> ChildAnswer {
        let id: UInt64 = try reader.take()
        let device = try handle(id)
        switch call {
        case .allocate:
            let length: UInt64 = try reader.take()
            let hasPlace = try reader.takeFlag()
            var buffer: OpaquePointer?
            make(tables.buffer.allocate) { allocate, status in hasPlace ? allocate(device, length, &buffer, status) : allocate(device, length, nil, status) }
            let number = answer.code == 0 ? objects.add(.buffer, buffer, on: id) : 0
            answer.payload.put(number)
            lend(number, device, buffer, length)
        case .importMemory: try importMemory(device, id)
        case .exportMemory: try exportMemory(device)
        case .releaseBuffer:
            let buffer = try objects.take(try reader.take())
            tables.buffer.release?(device, buffer)
            objects.released(buffer)
        case .copy: try copy(device)
        default: try move(device)
        }
        return answer
    }

    /// Names the new buffer's memory to the host too, where the driver can: then the host reads and writes it without asking.
    private func lend(_ number: UInt64, _ device: OpaquePointer?, _ buffer: OpaquePointer?, _ length: UInt64) {
        var memory = baton_memory.sized()
        var status = baton_status()
        status.size = UInt32(MemoryLayout<baton_status>.size)
        guard number != 0, Wire.lent.contains(length), let export = tables.buffer.export_memory, objects.mayLend(number),
            export(device, buffer, baton_memory_kind(BATON_MEMORY_MEMFD), &memory, &status) == 0, memory.kind == BATON_MEMORY_MEMFD,
            memory.length == length, let descriptor = Int32(exactly: memory.descriptor), descriptor >= 0
        else { return }
        answer.payload.put(memory.offset)
        answer.descriptors = [descriptor]
    }

    private func importMemory(_ device: OpaquePointer?, _ id: UInt64) throws(WireError) {
        let named = try takeMemory()
        let access: UInt32 = try reader.take()
        let hasPlace = try reader.takeFlag()
        var buffer: OpaquePointer?
        func attempt() {
            make(tables.buffer.import_memory) { importer, status in
                hasPlace ? importer(device, named.memory, access, &buffer, status) : importer(device, named.memory, access, nil, status)
            }
        }
        attempt()
        var mapping: UnsafeMutableRawBufferPointer?
        // A driver that takes no descriptors may take memory of its own process.
        if answer.code == DriverError.Code.unimplemented.rawValue, let memory = named.memory, let descriptor = named.descriptor,
            let mapped = Self.map(descriptor, memory.pointee, writable: access & UInt32(BATON_ACCESS_WRITE) != 0)
        {
            mapping = mapped
            memory.pointee.kind = baton_memory_kind(BATON_MEMORY_HOST)
            memory.pointee.address = UInt64(UInt(bitPattern: mapped.baseAddress))
            memory.pointee.descriptor = -1
            answer = ChildAnswer()
            attempt()
        }
        if answer.code != 0, let mapping { munmap(mapping.baseAddress, mapping.count) }
        answer.payload.put(answer.code == 0 ? objects.add(.buffer, buffer, on: id, mapping: mapping) : 0)
    }

    /// The file from its beginning to the end of the range.
    private static func map(_ descriptor: Int32, _ memory: baton_memory, writable: Bool) -> UnsafeMutableRawBufferPointer? {
        let (end, overflow) = memory.offset.addingReportingOverflow(memory.length)
        var status = stat()
        guard !overflow, end > 0, fstat(descriptor, &status) == 0, end <= UInt64(status.st_size) else { return nil }
        let mapped = mmap(nil, Int(end), PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, descriptor, 0)
        guard let mapped, mapped != MAP_FAILED else { return nil }
        return UnsafeMutableRawBufferPointer(start: mapped, count: Int(end))
    }

    /// What can be named to another process: host memory cannot.
    private func exportMemory(_ device: OpaquePointer?) throws(WireError) {
        let buffer = try takeHandle()
        let kind: Int32 = try reader.take()
        var memory = baton_memory.sized()
        guard kind != BATON_MEMORY_HOST else {
            answer = ChildAnswer(refusing: DriverError.Code.unimplemented.rawValue, "the buffer is in another process, where an address of it means nothing; name it by a descriptor")
            return
        }
        make(tables.buffer.export_memory) { $0(device, buffer, kind, &memory, $1) }
        put(named: memory)
    }

    private func copy(_ device: OpaquePointer?) throws(WireError) {
        let to = try takeHandle()
        let toOffset: UInt64 = try reader.take()
        let (fromDevice, from) = (try takeHandle(), try takeHandle())
        let (fromOffset, length): (UInt64, UInt64) = (try reader.take(), try reader.take())
        let sync = try reader.takeSync(in: arena, handle: handle)
        make(tables.buffer.copy) { $0(device, to, toOffset, fromDevice, from, fromOffset, length, sync, $1) }
    }

    /// A piece, which lies or comes to lie in the channel's segment. A length that passes the end of the buffer goes to the driver without bytes: it refuses.
    private func move(_ device: OpaquePointer?) throws(WireError) {
        let buffer = try takeHandle()
        let (offset, length): (UInt64, UInt64) = (try reader.take(), try reader.take())
        let count: UInt32 = try reader.take()
        guard Int(count) <= Wire.piece else { throw WireError("a piece of \(count) bytes; at most \(Wire.piece) go at once") }
        let isThere = UInt64(count) == length
        if call == .write {
            make(tables.buffer.write) { $0(device, buffer, offset, channel.piece, length, $1) }
        } else {
            make(tables.buffer.read) { $0(device, buffer, offset, channel.piece, length, $1) }
        }
        guard isThere || answer.code != 0 else { throw WireError("\(length) bytes were moved of \(count)") }
    }
}
