import CDriver
import CIsolation

extension RemoteTables {
    static func programTable() -> baton_program_table {
        var table = baton_program_table.sized()
        table.compile = { device, desc, out, status in RemoteTables.compile(device, desc, out, status) }
        table.info = { device, program, out, status in
            Forward.device(.programInfo, device, status) { writer throws(DriverError) in
                try Forward.id(program, beside: device, to: &writer)
                writer.put(struct: out.map { UnsafePointer($0) })
            } read: { reply, _ throws(WireError) in
                if let info = try reply.reader.takeProgramInfo() { Forward.write(info, to: out) }
            }
        }
        table.release = { device, program in RemoteTables.release(.releaseProgram, device, program) }
        table.submit = { device, program, batch, sync, status in RemoteTables.submit(device, program, batch, sync, status) }
        return table
    }

    private static func compile(
        _ device: OpaquePointer?, _ desc: UnsafePointer<baton_program_desc>?, _ out: UnsafeMutablePointer<OpaquePointer?>?,
        _ status: UnsafeMutablePointer<baton_status>?
    ) -> baton_code {
        guard let owner = RemoteObject.at(device) else { return Forward.device(.compile, device, status) }
        var token: UInt64 = 0
        if let desc, let progress = desc.pointee.progress {
            nonisolated(unsafe) let user = desc.pointee.progress_user
            token = owner.connection.add(progress: { progress(user, $0) })
        }
        var notices: UInt64 = 0
        let code = Forward.device(.compile, device, status, seconds: owner.connection.isolation.compileDeadline) { writer throws(DriverError) in
            try IsolatedCalls.check(desc)
            try writer.put(program: desc) { handle throws(DriverError) in try Forward.id(handle, beside: device) }
            writer.put(token)
            writer.put(out != nil)
        } read: { reply, object throws(WireError) in
            notices = try reply.reader.take()
            let id: UInt64 = try reply.reader.take()
            guard reply.code == 0, let desc else { return }
            out?.pointee = RemoteObject(
                .program, id, of: object.connection, on: object, maxTokens: desc.pointee.max_tokens, maxSequences: desc.pointee.max_sequences
            ).handle()
        }
        if token != 0 {
            owner.connection.settle(notices: notices)
            owner.connection.take(progress: token)
        }
        return code
    }

    private static func submit(
        _ device: OpaquePointer?, _ program: OpaquePointer?, _ batch: UnsafePointer<baton_batch>?, _ sync: UnsafePointer<baton_sync>?,
        _ status: UnsafeMutablePointer<baton_status>?
    ) -> baton_code {
        let code = Forward.device(.submit, device, status, tag: batch?.pointee.tag ?? 0, spins: Channel.spins) { writer throws(DriverError) in
            try checkShape(program, batch)
            let id = { (handle: OpaquePointer?) throws(DriverError) -> UInt64 in try Forward.id(handle, beside: device) }
            writer.put(try id(program))
            try writer.put(batch: batch, id: id)
            try writer.put(sync: sync, id: id)
        }
        if code == 0 { promise(sync, batch: batch?.pointee.tag ?? 0) }
        return code
    }

    /// What is sent must be there to be read: a batch that states more than its program was compiled for is refused here, as the driver would.
    private static func checkShape(_ program: OpaquePointer?, _ batch: UnsafePointer<baton_batch>?) throws(DriverError) {
        guard let batch = batch?.pointee else { return }
        if let program = RemoteObject.at(program), batch.token_count > program.maxTokens || batch.sequence_count > program.maxSequences {
            throw DriverError(
                .outOfRange, driver: "", call: "submit",
                detail: "a batch of \(batch.token_count) tokens in \(batch.sequence_count) sequences; the program takes up to \(program.maxTokens) in \(program.maxSequences)")
        }
        let entries = UInt64(batch.block_table_stride) * UInt64(batch.sequence_count)
        guard entries <= 1 << 18, batch.token_count <= 1 << 18, batch.row_count <= batch.token_count, batch.binding_count <= 1 << 15 else {
            throw DriverError(
                .invalidArgument, driver: "", call: "submit",
                detail: "a batch of \(batch.token_count) tokens, \(batch.row_count) rows, \(entries) entries in block tables and \(batch.binding_count) bindings; rows are at most tokens, and a driver in a child takes up to \(1 << 18) of each")
        }
    }
}
