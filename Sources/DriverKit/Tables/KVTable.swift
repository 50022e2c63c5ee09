import CDriver

extension DriverKit {
    static func kvTable() -> baton_kv_table {
        var table = baton_kv_table()
        table.size = UInt32(MemoryLayout<baton_kv_table>.size)
        table.layouts = { options, description, importing, out, capacity, count, status in
            DriverKit.guarded(status) { () throws(DriverFailure) in
                let plugin = try DriverKit.loaded()
                guard let count else { throw .invalid("layouts has no place for the count; pass one") }
                guard out != nil || capacity == 0 else { throw .invalid("layouts has room for \(capacity) and no array; pass one") }
                let options = try Options(options, plugin.options)
                let layouts = try plugin.definition.layouts(options, try KVPoolDescription(description), importing: importing != 0)
                if let out { DriverKit.give(layouts.prefix(Int(capacity)), to: out) }
                count.pointee = UInt32(layouts.count)
            }
        }
        table.create = { device, description, out, status in
            DriverKit.guarded(status) { () throws(DriverFailure) in
                let device = try Find.device(device)
                guard let out else { throw .invalid("create has no place for the pool; pass one") }
                let pool = try KVPoolDescription(description)
                guard device.info.kvDTypes.contains(pool.dtype) else {
                    throw .invalid("a KV pool of \(pool.dtype), which the device does not hold; use one of its kv dtypes")
                }
                out.pointee = device.make(.pool, PoolHandle(try device.implementation.createPool(pool)))
            }
        }
        table.release = { device, pool in
            _ = DriverKit.guarded(nil) { () throws(DriverFailure) in try Find.device(device).release(pool, .pool) }
        }
        addSharing(&table)
        addMoves(&table)
        return table
    }

    /// As far apart as the first one's size says.
    private static func give(_ layouts: ArraySlice<KVLayout>, to out: UnsafeMutablePointer<baton_kv_layout>) {
        let stride = out.pointee.size > 0 ? Int(out.pointee.size) : MemoryLayout<baton_kv_layout>.size
        for (index, layout) in layouts.enumerated() {
            let place = (UnsafeMutableRawPointer(out) + index * stride).assumingMemoryBound(to: baton_kv_layout.self)
            place.pointee.size = UInt32(stride)
            layout.contract.write(to: place)
        }
    }

    private static func addSharing(_ table: inout baton_kv_table) {
        table.share = { device, pool, kind, memory, layout, status in
            DriverKit.guarded(status) { () throws(DriverFailure) in
                let device = try Find.device(device)
                guard let memory, let layout else { throw .invalid("share has no place for the memory or the layout; pass both") }
                let shared = try device.implementation.sharePool(try Find.pool(pool).implementation, as: try DriverKit.memoryKind(kind))
                shared.memory.contract.write(to: memory)
                shared.layout.contract.write(to: layout)
            }
        }
        table.adopt = { device, description, memory, layout, out, status in
            DriverKit.guarded(status) { () throws(DriverFailure) in
                let device = try Find.device(device)
                guard let out else { throw .invalid("adopt has no place for the pool; pass one") }
                let pool = try KVPoolDescription(description)
                let memory = try Memory(memory)
                let layout = try KVLayout(layout, of: pool)
                try DriverKit.fits(try layout.bytes(layers: pool.layers, blocks: pool.blockCount), memory)
                out.pointee = device.make(.pool, PoolHandle(try device.implementation.adoptPool(pool, memory: memory, layout: layout)))
            }
        }
    }

    private static func addMoves(_ table: inout baton_kv_table) {
        table.export_range = { device, pool, range, layout, memory, sync, status in
            DriverKit.guarded(status) { () throws(DriverFailure) in
                let move = try Move(device, pool, range, layout, memory, sync)
                try move.device.implementation.exportRange(move.pool, move.range, move.layout, to: move.memory, move.sync)
            }
        }
        table.import_range = { device, pool, range, layout, memory, sync, status in
            DriverKit.guarded(status) { () throws(DriverFailure) in
                let move = try Move(device, pool, range, layout, memory, sync)
                try move.device.implementation.importRange(move.pool, move.range, move.layout, from: move.memory, move.sync)
            }
        }
        table.copy_blocks = { device, pool, from, to, count, sync, status in
            DriverKit.guarded(status) { () throws(DriverFailure) in
                let device = try Find.device(device)
                let pool = try Find.pool(pool)
                try DriverKit.refuseAfterQuiesce(device)
                guard Int(count) <= KVRange.limit else { throw .invalid("\(count) blocks to copy; at most \(KVRange.limit) can be given") }
                guard let from, let to else { throw .invalid("copy_blocks has no blocks; pass both arrays") }
                var pairs: [(from: UInt32, to: UInt32)] = []
                for index in 0..<Int(count) { pairs.append((from[index], to[index])) }
                let blocks = pool.description.blockCount
                if let bad = pairs.first(where: { Int($0.from) >= blocks || Int($0.to) >= blocks }) {
                    throw .invalid("block \(bad.from) to \(bad.to) is not in the pool, which has \(blocks) blocks")
                }
                try device.implementation.copyBlocks(pool.implementation, pairs, try Find.sync(sync, device))
            }
        }
    }

    static func fits(_ bytes: Int, _ memory: Memory) throws(DriverFailure) {
        guard memory.length >= bytes else {
            throw DriverFailure(.outOfRange, "the KV takes \(bytes) bytes and the memory has \(memory.length); give more, or move fewer layers or blocks")
        }
    }

    /// The arguments of an export or import, proven.
    private struct Move {
        var device: DeviceHandle
        var pool: any PoolImplementation
        var range: KVRange
        var layout: KVLayout
        var memory: Memory
        var sync: Sync

        init(
            _ device: OpaquePointer?, _ pool: OpaquePointer?, _ range: UnsafePointer<baton_kv_range>?, _ layout: UnsafePointer<baton_kv_layout>?,
            _ memory: UnsafePointer<baton_memory>?, _ sync: UnsafePointer<baton_sync>?
        ) throws(DriverFailure) {
            self.device = try Find.device(device)
            let found = try Find.pool(pool)
            try DriverKit.refuseAfterQuiesce(self.device)
            self.pool = found.implementation
            self.range = try KVRange(range, in: found.description)
            self.layout = try KVLayout(layout, of: found.description)
            self.memory = try Memory(memory)
            self.sync = try Find.sync(sync, self.device)
            try DriverKit.fits(try self.layout.bytes(layers: self.range.layerCount, blocks: self.range.blocks.count), self.memory)
        }
    }
}
