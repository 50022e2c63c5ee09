import CDriver
import CIsolation

extension RemoteTables {
    static func kvTable(_ functions: cisolation_slot) -> baton_kv_table {
        var table = baton_kv_table.sized()
        table.layouts = functions.layouts
        table.create = { device, desc, out, status in
            Forward.device(.createPool, device, status) { writer throws(DriverError) in
                writer.put(struct: desc)
                writer.put(out != nil)
            } read: { reply, object throws(WireError) in
                let id: UInt64 = try reply.reader.take()
                if reply.code == 0 { out?.pointee = RemoteObject(.pool, id, of: object.connection, on: object).handle() }
            }
        }
        table.release = { device, pool in RemoteTables.release(.releasePool, device, pool) }
        table.share = { device, pool, kind, memory, layout, status in
            Forward.device(.share, device, status) { writer throws(DriverError) in
                try Forward.id(pool, beside: device, to: &writer)
                writer.put(kind)
            } read: { reply, object throws(WireError) in
                if reply.code == 0, let memory { memory.pointee.key = 0 }
                try RemoteTables.named(&reply, pool, memory)
                if let found = try Forward.take(baton_kv_layout.self, &reply.reader) { Forward.write(found, to: layout) }
                if reply.code == 0, let memory, memory.pointee.kind == BATON_MEMORY_HOST { memory.pointee.key = MemoryArgument.key(of: object.connection) }
            }
        }
        table.adopt = { device, desc, memory, layout, out, status in RemoteTables.adopt(device, desc, memory, layout, out, status) }
        table.export_range = { device, pool, range, layout, memory, sync, status in RemoteTables.transfer(.export, device, pool, range, layout, memory, sync, status) }
        table.import_range = { device, pool, range, layout, memory, sync, status in RemoteTables.transfer(.import, device, pool, range, layout, memory, sync, status) }
        table.copy_blocks = { device, pool, from, to, count, sync, status in
            let code = Forward.device(.copyBlocks, device, status) { writer throws(DriverError) in
                let id = { (handle: OpaquePointer?) throws(DriverError) -> UInt64 in try Forward.id(handle, beside: device) }
                writer.put(try id(pool))
                writer.put(count)
                writer.put(numbers: from, count: Int(count))
                writer.put(numbers: to, count: Int(count))
                try writer.put(sync: sync, id: id)
            }
            if code == 0 { RemoteTables.promise(sync) }
            return code
        }
        return table
    }

    private static func adopt(
        _ device: OpaquePointer?, _ desc: UnsafePointer<baton_kv_pool_desc>?, _ memory: UnsafePointer<baton_memory>?, _ layout: UnsafePointer<baton_kv_layout>?,
        _ out: UnsafeMutablePointer<OpaquePointer?>?, _ status: UnsafeMutablePointer<baton_status>?
    ) -> baton_code {
        guard let owner = RemoteObject.at(device) else { return Forward.device(.adopt, device, status) }
        return Forward.made(status) { () throws(DriverError) in
            if let memory, memory.pointee.kind == BATON_MEMORY_HOST, memory.pointee.key != MemoryArgument.key(of: owner.connection),
                SharedMemory.find(memory.pointee.address &+ memory.pointee.offset, count: memory.pointee.length) == nil
            {
                throw DriverError(.unimplemented, driver: "", call: "adopt", detail: "this storage is in another process than the driver; export and import instead")
            }
            let argument = try MemoryArgument(memory, for: owner.connection)
            return Forward.device(.adopt, device, status, descriptors: argument.descriptors) { writer throws(DriverError) in
                writer.put(struct: desc)
                argument.put(to: &writer)
                writer.put(struct: layout)
                writer.put(out != nil)
            } read: { reply, object throws(WireError) in
                let id: UInt64 = try reply.reader.take()
                if reply.code == 0 { out?.pointee = RemoteObject(.pool, id, of: object.connection, on: object).handle() }
            }
        }
    }

    private static func transfer(
        _ call: ChildCall, _ device: OpaquePointer?, _ pool: OpaquePointer?, _ range: UnsafePointer<baton_kv_range>?, _ layout: UnsafePointer<baton_kv_layout>?,
        _ memory: UnsafePointer<baton_memory>?, _ sync: UnsafePointer<baton_sync>?, _ status: UnsafeMutablePointer<baton_status>?
    ) -> baton_code {
        guard let owner = RemoteObject.at(device) else { return Forward.device(call, device, status) }
        return Forward.made(status) { () throws(DriverError) in
            let argument = try MemoryArgument(memory, for: owner.connection)
            let due = argument.staging.map { RemoteObject.Due(value: 0, staging: $0, target: call == .export ? argument.staged : nil) }
            // Before it is sent: it may be done before the reply is here.
            let watched = due.map { wait(for: $0, sync) } ?? []
            let code = Forward.device(call, device, status, descriptors: argument.descriptors) { writer throws(DriverError) in
                let id = { (handle: OpaquePointer?) throws(DriverError) -> UInt64 in try Forward.id(handle, beside: device) }
                writer.put(try id(pool))
                writer.put(struct: range)
                writer.put(numbers: range?.pointee.blocks, count: Int(range?.pointee.block_count ?? 0))
                writer.put(struct: layout)
                argument.put(to: &writer)
                try writer.put(sync: sync, id: id)
            }
            if code == 0, watched.isEmpty { due?.settle() }
            if code == 0 { promise(sync) } else if let due { for timeline in watched { timeline.cancel(due) } }
            return code
        }
    }

    /// Staged bytes go where they belong when one of the signals is heard of.
    private static func wait(for due: RemoteObject.Due, _ sync: UnsafePointer<baton_sync>?) -> [RemoteObject] {
        guard let sync, let signals = sync.pointee.signals else { return [] }
        return (0..<Int(sync.pointee.signal_count)).compactMap { index in
            guard let timeline = RemoteObject.at(signals[index].timeline) else { return nil }
            var one = due
            one.value = signals[index].value
            timeline.add(due: one)
            return timeline
        }
    }
}
