import CDriver

/// What a frame between host and child is read as, without a process: for fuzzing. Neither side believes the other's bytes.
package enum WireFrame: UInt8, CaseIterable, Sendable {
    /// From a host.
    case setup, program, batch, sync, options, memory
    /// From a child.
    case entryReply, deviceInfo

    /// Reads all of `bytes`; handles in them lead nowhere.
    package func read(_ bytes: [UInt8]) throws(WireError) {
        var reader = WireReader(bytes)
        let arena = Arena()
        let none = { (_: UInt64) throws(WireError) -> OpaquePointer? in nil }
        switch self {
        case .setup: _ = try ChildSetup(from: &reader)
        case .program: _ = try reader.takeProgram(in: arena, handle: none)
        case .batch: _ = try reader.takeBatch(in: arena, handle: none)
        case .sync: _ = try reader.takeSync(in: arena, handle: none)
        case .options: _ = try reader.takeOptions(in: arena)
        case .memory: _ = try reader.take(struct: baton_memory.self, in: arena)
        case .entryReply: _ = try EntryReply(&reader)
        case .deviceInfo: _ = try reader.takeDeviceInfo()
        }
    }
}
