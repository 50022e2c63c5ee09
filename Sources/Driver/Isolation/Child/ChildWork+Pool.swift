import CDriver
import Glibc

extension ChildWork {
    func pool() throws(WireError) -> ChildAnswer {
        guard call != .layouts else { return try layouts() }
        let id: UInt64 = try reader.take()
        let device = try handle(id)
        switch call {
        case .createPool:
            let desc = try reader.take(struct: baton_kv_pool_desc.self, in: arena)
            let hasPlace = try reader.takeFlag()
            var pool: OpaquePointer?
            make(tables.kv?.create) { create, status in hasPlace ? create(device, desc, &pool, status) : create(device, desc, nil, status) }
            answer.payload.put(answer.code == 0 ? objects.add(.pool, pool, on: id) : 0)
        case .releasePool: tables.kv?.release?(device, try objects.take(try reader.take()))
        case .share: try share(device)
        case .adopt: try adopt(device, id)
        case .copyBlocks: try copyBlocks(device)
        default: try transfer(device)
        }
        return answer
    }

    private func layouts() throws(WireError) -> ChildAnswer {
        let options = try reader.takeOptions(in: arena)
        let desc = try reader.take(struct: baton_kv_pool_desc.self, in: arena)
        let importing: UInt32 = try reader.take()
        let hasRoom = try reader.takeFlag()
        let capacity: UInt32 = try reader.take()
        let hasCount = try reader.takeFlag()
        let room = Int(min(capacity, 1_024))
        let out = try arena.room(room * MemoryLayout<baton_kv_layout>.stride).assumingMemoryBound(to: baton_kv_layout.self)
        for index in 0..<room { out[index] = .sized() }
        var count: UInt32 = 0
        make(tables.kv?.layouts) { list, status in
            list(options, desc, importing, hasRoom ? out : nil, UInt32(room), hasCount ? withUnsafeMutablePointer(to: &count) { $0 } : nil, status)
        }
        let written = answer.code == 0 && hasRoom ? min(Int(count), room) : 0
        answer.payload.put(count)
        answer.payload.put(UInt32(written))
        for index in 0..<written { answer.payload.put(struct: UnsafePointer(out + index)) }
        return answer
    }

    /// By a descriptor where the driver has one, whatever was asked for: an address means nothing outside.
    private func share(_ device: OpaquePointer?) throws(WireError) {
        let pool = try takeHandle()
        let kind: Int32 = try reader.take()
        var memory = baton_memory.sized()
        var layout = baton_kv_layout.sized()
        make(tables.kv?.share) { $0(device, pool, kind, &memory, &layout, $1) }
        put(named: memory)
        withUnsafePointer(to: &layout) { answer.payload.put(struct: $0) }
    }

    private func adopt(_ device: OpaquePointer?, _ id: UInt64) throws(WireError) {
        let desc = try reader.take(struct: baton_kv_pool_desc.self, in: arena)
        let named = try takeMemory()
        let layout = try reader.take(struct: baton_kv_layout.self, in: arena)
        let hasPlace = try reader.takeFlag()
        var pool: OpaquePointer?
        make(tables.kv?.adopt) { adopt, status in
            hasPlace ? adopt(device, desc, named.memory, layout, &pool, status) : adopt(device, desc, named.memory, layout, nil, status)
        }
        answer.payload.put(answer.code == 0 ? objects.add(.pool, pool, on: id) : 0)
    }

    private func copyBlocks(_ device: OpaquePointer?) throws(WireError) {
        let pool = try takeHandle()
        let count: UInt32 = try reader.take()
        let (from, to) = (try reader.takeNumbers(in: arena), try reader.takeNumbers(in: arena))
        guard [from, to].allSatisfy({ $0 == nil || $0?.count == Int(count) }) else { throw WireError("\(count) blocks are stated and others are there") }
        let sync = try reader.takeSync(in: arena, handle: handle)
        make(tables.kv?.copy_blocks) { $0(device, pool, from?.first, to?.first, count, sync, $1) }
    }

    private func transfer(_ device: OpaquePointer?) throws(WireError) {
        let pool = try takeHandle()
        let range = try reader.take(struct: baton_kv_range.self, in: arena)
        let blocks = try reader.takeNumbers(in: arena)
        guard blocks == nil || blocks?.count == Int(range?.pointee.block_count ?? 0) else { throw WireError("blocks are stated that are not there") }
        range?.pointee.blocks = blocks?.first
        let layout = try reader.take(struct: baton_kv_layout.self, in: arena)
        let memory = try takeMemory().memory
        let sync = try reader.takeSync(in: arena, handle: handle)
        make(call == .export ? tables.kv?.export_range : tables.kv?.import_range) { $0(device, pool, range, layout, memory, sync, $1) }
    }
}
