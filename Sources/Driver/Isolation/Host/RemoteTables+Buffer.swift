import CDriver
import CIsolation
import Glibc

extension RemoteTables {
    static func bufferTable() -> baton_buffer_table {
        var table = baton_buffer_table.sized()
        table.allocate = { device, length, out, status in
            Forward.device(.allocate, device, status) { writer throws(DriverError) in
                writer.put(length)
                writer.put(out != nil)
            } read: { reply, object throws(WireError) in
                let id: UInt64 = try reply.reader.take()
                guard reply.code == 0 else { return }
                let lent = reply.descriptors.isEmpty ? nil : LentMemory(reply.descriptors[0], offset: try reply.reader.take(), length: length)
                out?.pointee = RemoteObject(.buffer, id, of: object.connection, on: object, length: length, lent: lent).handle()
            }
        }
        table.import_memory = { device, memory, access, out, status in RemoteTables.importMemory(device, memory, access, out, status) }
        table.export_memory = { device, buffer, kind, out, status in
            Forward.device(.exportMemory, device, status) { writer throws(DriverError) in
                try Forward.id(buffer, beside: device, to: &writer)
                writer.put(kind)
            } read: { reply, _ throws(WireError) in try RemoteTables.named(&reply, buffer, out) }
        }
        table.release = { device, buffer in RemoteTables.release(.releaseBuffer, device, buffer) }
        table.write = { device, buffer, offset, source, length, status in
            if let place = RemoteObject.at(buffer)?.lent(offset, length, beside: device), let source {
                place.copyMemory(from: source, byteCount: Int(length))
                return 0
            }
            return RemoteTables.move(.write, device, buffer, offset, length, status) { channel, done, count in
                if let source { channel.piece.copyMemory(from: source + done, byteCount: count) }
            } taken: { _, _, _ in }
        }
        table.read = { device, buffer, offset, target, length, status in
            if let place = RemoteObject.at(buffer)?.lent(offset, length, beside: device), let target {
                target.copyMemory(from: place, byteCount: Int(length))
                return 0
            }
            return RemoteTables.move(.read, device, buffer, offset, length, status) { _, _, _ in } taken: { channel, done, count in
                if let target { (target + done).copyMemory(from: channel.piece, byteCount: count) }
            }
        }
        table.map = { device, buffer, access, out, status in RemoteTables.map(device, buffer, access, out, status) }
        table.unmap = { device, buffer in
            guard let object = RemoteObject.at(buffer), let mapped = object.unmap() else { return }
            if mapped.writes { _ = RemoteTables.bufferTable().write?(device, buffer, 0, mapped.bytes.baseAddress, UInt64(mapped.bytes.count), nil) }
            mapped.bytes.deallocate()
        }
        table.copy = { device, to, toOffset, fromDevice, from, fromOffset, length, sync, status in
            let code = Forward.device(.copy, device, status) { writer throws(DriverError) in
                let id = { (handle: OpaquePointer?) throws(DriverError) -> UInt64 in try Forward.id(handle, beside: device) }
                writer.put(try id(to))
                writer.put(toOffset)
                writer.put(try id(fromDevice))
                writer.put(try id(from))
                writer.put(fromOffset)
                writer.put(length)
                try writer.put(sync: sync, id: id)
            }
            if code == 0 { RemoteTables.promise(sync) }
            return code
        }
        return table
    }

    /// Work that waits for nothing was taken: its signals are due.
    static func promise(_ sync: UnsafePointer<baton_sync>?, batch: UInt64? = nil) {
        guard let sync, sync.pointee.wait_count == 0, let signals = sync.pointee.signals else { return }
        for index in 0..<Int(sync.pointee.signal_count) {
            guard let timeline = RemoteObject.at(signals[index].timeline) else { continue }
            timeline.promise(signals[index].value)
            if let batch { timeline.connection.began(batch: batch, on: timeline.id) }
        }
    }

    private static func importMemory(
        _ device: OpaquePointer?, _ memory: UnsafePointer<baton_memory>?, _ access: UInt32, _ out: UnsafeMutablePointer<OpaquePointer?>?,
        _ status: UnsafeMutablePointer<baton_status>?
    ) -> baton_code {
        guard let owner = RemoteObject.at(device) else { return Forward.device(.importMemory, device, status) }
        return Forward.made(status) { () throws(DriverError) in
            let argument = try MemoryArgument(memory, for: owner.connection)
            return Forward.device(.importMemory, device, status, descriptors: argument.descriptors) { writer throws(DriverError) in
                argument.put(to: &writer)
                writer.put(access)
                writer.put(out != nil)
            } read: { reply, object throws(WireError) in
                let id: UInt64 = try reply.reader.take()
                guard reply.code == 0 else { return }
                let buffer = RemoteObject(.buffer, id, of: object.connection, on: object, length: memory?.pointee.length ?? 0)
                // Staged bytes stay as long as the buffer does.
                if let staging = argument.staging { buffer.add(due: .init(value: .max, staging: staging, target: nil)) }
                out?.pointee = buffer.handle()
            }
        }
    }

    /// Memory that the child named. An address in the child means nothing here but to that child, and is marked so.
    static func named(_ reply: inout Forward.Reply, _ handle: OpaquePointer?, _ out: UnsafeMutablePointer<baton_memory>?) throws(WireError) {
        guard var memory = try Forward.take(baton_memory.self, &reply.reader), reply.code == 0 else { return }
        if memory.kind == BATON_MEMORY_MEMFD || memory.kind == BATON_MEMORY_DMABUF {
            guard let descriptor = reply.descriptors.first else { throw WireError("memory is named by a descriptor that did not come with it") }
            // The name is good as long as what it names lives.
            RemoteObject.at(handle)?.keep(descriptor)
            memory.descriptor = Int64(descriptor)
            reply.descriptors.removeFirst()
        }
        Forward.write(memory, to: out)
    }

    /// Moves bytes in pieces through the channel's segment. A range that passes the end of a buffer is for the driver to refuse, before any piece of it moves.
    private static func move(
        _ call: ChildCall, _ device: OpaquePointer?, _ buffer: OpaquePointer?, _ offset: UInt64, _ length: UInt64, _ status: UnsafeMutablePointer<baton_status>?,
        give: @escaping (Channel, Int, Int) -> Void, taken: (Channel, Int, Int) -> Void
    ) -> baton_code {
        let known = RemoteObject.at(buffer)?.length ?? 0
        let (end, overflow) = offset.addingReportingOverflow(length)
        let isInside = !overflow && end <= known
        var done: UInt64 = 0
        repeat {
            let count = isInside ? Int(min(length - done, UInt64(Wire.piece))) : 0
            let asked = isInside ? UInt64(count) : length
            let at = offset &+ done
            let from = Int(truncatingIfNeeded: done)
            let code = Forward.device(call, device, status, spins: Channel.spins, prepare: .init { give($0, from, count) }) { writer throws(DriverError) in
                try Forward.id(buffer, beside: device, to: &writer)
                writer.put(at)
                writer.put(asked)
                writer.put(UInt32(count))
            } read: { reply, _ throws(WireError) in
                if reply.code == 0 { taken(reply.channel, from, count) }
            }
            guard code == 0, isInside else { return code }
            done += UInt64(count)
        } while done < length
        return 0
    }

    /// Memory that the child lent as it is; else a copy that is brought here and, at unmap, taken back.
    private static func map(
        _ device: OpaquePointer?, _ buffer: OpaquePointer?, _ access: UInt32, _ out: UnsafeMutablePointer<UnsafeMutableRawPointer?>?,
        _ status: UnsafeMutablePointer<baton_status>?
    ) -> baton_code {
        guard let object = RemoteObject.at(buffer), let out else {
            return Forward.fill(status, DriverError.Code.invalidArgument.rawValue, 0, "map has no buffer or no place for the address; pass both")
        }
        if let place = object.lent(0, object.length, beside: device) {
            out.pointee = place
            return 0
        }
        let writes = access & UInt32(BATON_ACCESS_WRITE) != 0
        if let there = object.mapAgain(writes: writes) {
            out.pointee = there
            return 0
        }
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(clamping: max(object.length, 1)), alignment: 64)
        let code = bufferTable().read?(device, buffer, 0, bytes.baseAddress, object.length, status) ?? DriverError.Code.unimplemented.rawValue
        guard code == 0 else {
            bytes.deallocate()
            return code
        }
        object.keep(map: bytes, writes: writes)
        out.pointee = bytes.baseAddress
        return 0
    }
}
