import CDriver
import Synchronization

extension DriverKit {
    static func bufferTable() -> baton_buffer_table {
        var table = baton_buffer_table()
        table.size = UInt32(MemoryLayout<baton_buffer_table>.size)
        table.allocate = { device, length, out, status in
            DriverKit.guarded(status) { () throws(DriverFailure) in
                let device = try Find.device(device)
                guard let out else { throw .invalid("allocate has no place for the buffer; pass one") }
                guard length > 0 else { throw .invalid("a buffer of 0 bytes; ask for at least one") }
                guard let bytes = Int(exactly: length) else {
                    throw DriverFailure(.resourceExhausted, "a buffer of \(length) bytes is more than memory can be")
                }
                out.pointee = device.make(.buffer, BufferHandle(try device.implementation.allocate(bytes)))
            }
        }
        table.import_memory = { device, memory, access, out, status in
            DriverKit.guarded(status) { () throws(DriverFailure) in
                let device = try Find.device(device)
                guard let out else { throw .invalid("import has no place for the buffer; pass one") }
                guard access > 0, access <= 3 else { throw .invalid("memory is imported for access \(access); say read (1), write (2) or both (3)") }
                let buffer = try device.implementation.importMemory(try Memory(memory), access: Access(rawValue: access))
                out.pointee = device.make(.buffer, BufferHandle(buffer))
            }
        }
        table.export_memory = { device, buffer, kind, out, status in
            DriverKit.guarded(status) { () throws(DriverFailure) in
                _ = try Find.device(device)
                guard let out else { throw .invalid("export has no place for the memory's name; pass one") }
                try Find.buffer(buffer).export(as: try DriverKit.memoryKind(kind)).contract.write(to: out)
            }
        }
        table.release = { device, buffer in
            _ = DriverKit.guarded(nil) { () throws(DriverFailure) in try Find.device(device).release(buffer, .buffer) }
        }
        table.write = { device, buffer, offset, source, length, status in
            DriverKit.guarded(status) { () throws(DriverFailure) in
                _ = try Find.device(device)
                let buffer = try Find.buffer(buffer)
                let range = try DriverKit.inside(buffer, offset, length)
                guard length > 0 else { return }
                guard let source else { throw .invalid("write has no source; pass \(length) bytes") }
                try buffer.write(range.lowerBound, UnsafeRawBufferPointer(start: source, count: range.count))
            }
        }
        table.read = { device, buffer, offset, target, length, status in
            DriverKit.guarded(status) { () throws(DriverFailure) in
                _ = try Find.device(device)
                let buffer = try Find.buffer(buffer)
                let range = try DriverKit.inside(buffer, offset, length)
                guard length > 0 else { return }
                guard let target else { throw .invalid("read has no destination; pass a place for \(length) bytes") }
                try buffer.read(range.lowerBound, into: UnsafeMutableRawBufferPointer(start: target, count: range.count))
            }
        }
        addMapping(&table)
        return table
    }

    private static func addMapping(_ table: inout baton_buffer_table) {
        table.map = { device, buffer, access, out, status in
            DriverKit.guarded(status) { () throws(DriverFailure) in
                _ = try Find.device(device)
                guard let out else { throw .invalid("map has no place for the pointer; pass one") }
                guard access > 0, access <= 3 else { throw .invalid("a buffer is mapped for access \(access); say read (1), write (2) or both (3)") }
                out.pointee = try Find.buffer(buffer).map(Access(rawValue: access))
            }
        }
        table.unmap = { device, buffer in
            _ = DriverKit.guarded(nil) { () throws(DriverFailure) in try Find.buffer(buffer).unmap() }
        }
        table.copy = { device, target, targetOffset, sourceDevice, source, sourceOffset, length, sync, status in
            DriverKit.guarded(status) { () throws(DriverFailure) in
                let device = try Find.device(device)
                _ = try Find.device(sourceDevice)
                let target = try Find.buffer(target)
                let source = try Find.buffer(source)
                let to = try DriverKit.inside(target, targetOffset, length)
                let from = try DriverKit.inside(source, sourceOffset, length)
                let sync = try Find.sync(sync, device)
                try DriverKit.refuseAfterQuiesce(device)
                try device.implementation.copy(from: source, from.lowerBound, to: target, to.lowerBound, length: to.count, sync)
            }
        }
    }

    static func memoryKind(_ raw: baton_memory_kind) throws(DriverFailure) -> Memory.Kind {
        guard let kind = Memory.Kind(rawValue: raw) else { throw .invalid("memory of the unknown kind \(raw); name it as one of 1 to 4") }
        return kind
    }

    static func refuseAfterQuiesce(_ device: DeviceHandle) throws(DriverFailure) {
        guard !device.quiesced.load(ordering: .acquiring) else {
            throw DriverFailure(.failedPrecondition, "the device is quiesced and takes no work; open it again")
        }
    }

    private static func inside(_ buffer: any BufferImplementation, _ offset: UInt64, _ length: UInt64) throws(DriverFailure) -> Range<Int> {
        let (end, overflow) = offset.addingReportingOverflow(length)
        guard !overflow, end <= UInt64(buffer.length) else {
            throw DriverFailure(.outOfRange, "\(length) bytes from \(offset) pass the end of a buffer of \(buffer.length) bytes")
        }
        return Int(offset)..<Int(end)
    }
}
