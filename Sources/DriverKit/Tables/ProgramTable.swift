import CDriver

extension DriverKit {
    static func programTable() -> baton_program_table {
        var table = baton_program_table()
        table.size = UInt32(MemoryLayout<baton_program_table>.size)
        table.compile = { device, description, out, status in
            DriverKit.guarded(status) { () throws(DriverFailure) in
                let device = try Find.device(device)
                guard let out else { throw .invalid("compile has no place for the program; pass one") }
                let description = try ProgramDescription(description, needsWeights: true)
                defer { description.progress.end() }
                let program = try device.implementation.compile(description)
                out.pointee = device.make(.program, ProgramHandle(program))
            }
        }
        table.info = { device, program, out, status in
            DriverKit.guarded(status) { () throws(DriverFailure) in
                _ = try Find.device(device)
                guard let out else { throw .invalid("info has no place for its answer; pass one") }
                let info = try Find.program(program).info
                var raw = baton_program_info.sized()
                raw.bucket_count = UInt32(info.buckets.count)
                raw.buckets = Interned.numbers(info.buckets)
                raw.weight_bytes = info.weightBytes
                raw.workspace_bytes = info.workspaceBytes
                raw.write(to: out)
            }
        }
        table.release = { device, program in
            _ = DriverKit.guarded(nil) { () throws(DriverFailure) in try Find.device(device).release(program, .program) }
        }
        table.submit = { device, program, batch, sync, status in
            DriverKit.guarded(status) { () throws(DriverFailure) in
                let device = try Find.device(device)
                let program = try Find.program(program)
                try DriverKit.refuseAfterQuiesce(device)
                let batch = try Batch(batch, for: program.description)
                try device.implementation.submit(program.implementation, batch, try Find.sync(sync, device))
            }
        }
        return table
    }
}
