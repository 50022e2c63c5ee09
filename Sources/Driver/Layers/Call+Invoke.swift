import CDriver

/// A driver's own functions, below all layers.
struct DriverTables: @unchecked Sendable {
    var describe: (@convention(c) (UnsafePointer<baton_options>?, UnsafeMutablePointer<baton_device_info>?, UnsafeMutablePointer<baton_status>?) -> baton_code)?
    var device: baton_device_table
    var buffer: baton_buffer_table
    var program: baton_program_table
    var timeline: baton_timeline_table
    var kv: baton_kv_table?
    var cost: baton_cost_table?
}

extension DriverTables {
    /// As a driver's entry gave them.
    init(_ raw: baton_driver) {
        self.init(
            describe: raw.describe, device: .copied(from: raw.device) ?? .init(), buffer: .copied(from: raw.buffer) ?? .init(),
            program: .copied(from: raw.program) ?? .init(), timeline: .copied(from: raw.timeline) ?? .init(),
            kv: DriverLibrary.interface(raw, BATON_KV_INTERFACE, BATON_KV_VERSION), cost: DriverLibrary.interface(raw, BATON_COST_INTERFACE, BATON_COST_VERSION))
    }
}

extension Call {
    private static let unimplemented: baton_code = 12

    /// Makes the call on the driver itself.
    func invoke(on driver: DriverTables) -> baton_code {
        switch arguments {
        case .describe(let options, let out): driver.describe?(options, out, status) ?? Self.unimplemented
        case .open(let options, let out): driver.device.open?(options, out, status) ?? Self.unimplemented
        case .kvLayouts(let options, let desc, let importing, let out, let capacity, let count):
            driver.kv?.layouts?(options, desc, importing, out, capacity, count, status) ?? Self.unimplemented
        case .estimate(let options, let desc, let work, let out): driver.cost?.estimate?(options, desc, work, out, status) ?? Self.unimplemented
        case .memory(let options, let desc, let tokens, let dtype, let out):
            driver.cost?.memory?(options, desc, tokens, dtype, out, status) ?? Self.unimplemented
        default: device.map { invoke(on: driver, $0.inner) } ?? Self.unimplemented
        }
    }

    private func invoke(on driver: DriverTables, _ device: OpaquePointer) -> baton_code {
        switch arguments {
        case .info(let out): return driver.device.info?(device, out, status) ?? Self.unimplemented
        case .health: return driver.device.health?(device, status) ?? Self.unimplemented
        case .quiesce(let timeout): return driver.device.quiesce?(device, timeout, status) ?? Self.unimplemented
        case .close: driver.device.close?(device)
        case .compile(let desc, let out): return driver.program.compile?(device, desc, out, status) ?? Self.unimplemented
        case .programInfo(let program, let out): return driver.program.info?(device, program, out, status) ?? Self.unimplemented
        case .releaseProgram(let program): driver.program.release?(device, program)
        case .submit(let program, let batch, let sync): return driver.program.submit?(device, program, batch, sync, status) ?? Self.unimplemented
        case .createTimeline, .releaseTimeline, .query, .wait, .signal, .fail, .notify: return invoke(on: driver.timeline, device)
        case .kvCreate, .kvRelease, .kvShare, .kvAdopt, .kvExport, .kvImport, .kvCopyBlocks: return driver.kv.map { invoke(on: $0, device) } ?? Self.unimplemented
        default: return invoke(on: driver.buffer, device)
        }
        return 0
    }

    private func invoke(on table: baton_buffer_table, _ device: OpaquePointer) -> baton_code {
        switch arguments {
        case .allocate(let length, let out): return table.allocate?(device, length, out, status) ?? Self.unimplemented
        case .importMemory(let memory, let access, let out): return table.import_memory?(device, memory, access, out, status) ?? Self.unimplemented
        case .exportMemory(let buffer, let kind, let out): return table.export_memory?(device, buffer, kind, out, status) ?? Self.unimplemented
        case .releaseBuffer(let buffer): table.release?(device, buffer)
        case .write(let buffer, let offset, let source, let length): return table.write?(device, buffer, offset, source, length, status) ?? Self.unimplemented
        case .read(let buffer, let offset, let out, let length): return table.read?(device, buffer, offset, out, length, status) ?? Self.unimplemented
        case .map(let buffer, let access, let out): return table.map?(device, buffer, access, out, status) ?? Self.unimplemented
        case .unmap(let buffer): table.unmap?(device, buffer)
        case .copy(let copy):
            let from = LayeredDevice.find(copy.fromDevice)?.inner ?? copy.fromDevice
            return table.copy?(device, copy.to, copy.toOffset, from, copy.from, copy.fromOffset, copy.length, copy.sync, status) ?? Self.unimplemented
        default: return Self.unimplemented
        }
        return 0
    }

    private func invoke(on table: baton_timeline_table, _ device: OpaquePointer) -> baton_code {
        switch arguments {
        case .createTimeline(let value, let out): return table.create?(device, value, out, status) ?? Self.unimplemented
        case .releaseTimeline(let timeline): table.release?(device, timeline)
        case .query(let timeline, let value, let out): return table.query?(device, timeline, value, out, status) ?? Self.unimplemented
        case .wait(let timeline, let value, let timeout, let out): return table.wait?(device, timeline, value, timeout, out, status) ?? Self.unimplemented
        case .signal(let timeline, let value): return table.signal?(device, timeline, value, status) ?? Self.unimplemented
        case .fail(let timeline, let reason): return table.fail?(device, timeline, reason, status) ?? Self.unimplemented
        case .notify(let timeline, let value, let callback, let user): return table.notify?(device, timeline, value, callback, user, status) ?? Self.unimplemented
        default: return Self.unimplemented
        }
        return 0
    }

    private func invoke(on table: baton_kv_table, _ device: OpaquePointer) -> baton_code {
        switch arguments {
        case .kvCreate(let desc, let out): return table.create?(device, desc, out, status) ?? Self.unimplemented
        case .kvRelease(let pool): table.release?(device, pool)
        case .kvShare(let pool, let kind, let memory, let layout): return table.share?(device, pool, kind, memory, layout, status) ?? Self.unimplemented
        case .kvAdopt(let desc, let memory, let layout, let out): return table.adopt?(device, desc, memory, layout, out, status) ?? Self.unimplemented
        case .kvExport(let move):
            return table.export_range?(device, move.pool, move.range, move.layout, move.memory, move.sync, status) ?? Self.unimplemented
        case .kvImport(let move):
            return table.import_range?(device, move.pool, move.range, move.layout, move.memory, move.sync, status) ?? Self.unimplemented
        case .kvCopyBlocks(let pool, let from, let to, let count, let sync):
            return table.copy_blocks?(device, pool, from, to, count, sync, status) ?? Self.unimplemented
        default: return Self.unimplemented
        }
        return 0
    }
}
