import CDriver
import Glibc
import Synchronization

extension ChildWork {
    func program() throws(WireError) -> ChildAnswer {
        let id: UInt64 = try reader.take()
        let device = try handle(id)
        switch call {
        case .compile: try compile(device, id)
        case .programInfo:
            let program = try takeHandle()
            let out = try reader.take(struct: baton_program_info.self, in: arena)
            make(tables.program.info) { $0(device, program, out, $1) }
            answer.payload.put(info: answer.code == 0 ? out : nil)
        case .releaseProgram: tables.program.release?(device, try objects.take(try reader.take()))
        default:
            let program = try takeHandle()
            let batch = try reader.takeBatch(in: arena, handle: handle)
            let sync = try reader.takeSync(in: arena, handle: handle)
            make(tables.program.submit) { $0(device, program, batch, sync, $1) }
        }
        return answer
    }

    private func compile(_ device: OpaquePointer?, _ id: UInt64) throws(WireError) {
        let program = try reader.takeProgram(in: arena, handle: handle)
        let token: UInt64 = try reader.take()
        let hasPlace = try reader.takeFlag()
        if let program, program.wantsProgress, token != 0 {
            program.desc.pointee.progress_user = UnsafeMutableRawPointer(bitPattern: UInt(token))
            program.desc.pointee.progress = { user, fraction in
                guard let server = ChildServer.shared.withLock({ $0 }) else { return }
                server.report(progress: UInt64(UInt(bitPattern: user)), fraction)
            }
        }
        let desc = program.map { UnsafePointer($0.desc) }
        var made: OpaquePointer?
        make(tables.program.compile) { compile, status in hasPlace ? compile(device, desc, &made, status) : compile(device, desc, nil, status) }
        answer.payload.put(driver.server.notices.load(ordering: .sequentiallyConsistent))
        answer.payload.put(answer.code == 0 ? objects.add(.program, made, on: id) : 0)
    }
}
