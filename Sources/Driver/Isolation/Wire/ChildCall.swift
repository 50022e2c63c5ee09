/// What a host asks of a child, one for each function of the contract. The numbers are the wire's.
package enum ChildCall: UInt16, Sendable, CaseIterable {
    // The driver.
    case load = 1, entry, interface, describe
    // device.h
    case open = 16, info, health, quiesce, close
    // buffer.h
    case allocate = 32, importMemory, exportMemory, releaseBuffer, write, read, copy
    // program.h
    case compile = 48, programInfo, releaseProgram, submit
    // event.h
    case createTimeline = 64, releaseTimeline, query, wait, signal, fail, notify
    // kv.h
    case layouts = 80, createPool, releasePool, share, adopt, export, `import`, copyBlocks
    // cost.h
    case estimate = 96, memory
    // Memory that both see.
    case addSegment = 112, dropSegment

    /// As the contract calls it.
    var words: String {
        switch self {
        case .importMemory: "import_memory"
        case .exportMemory: "export_memory"
        case .releaseBuffer: "buffer release"
        case .programInfo: "program info"
        case .releaseProgram: "program release"
        case .createTimeline: "timeline create"
        case .releaseTimeline: "timeline release"
        case .createPool: "kv create"
        case .releasePool: "kv release"
        case .layouts, .share, .adopt, .export, .import: "kv \(self)"
        case .copyBlocks: "kv copy_blocks"
        case .estimate, .memory: "cost \(self)"
        case .addSegment, .dropSegment: "sharing memory"
        default: "\(self)"
        }
    }

    /// Whether it may take as long as the driver likes: until its own timeout, or for a compiler's minutes.
    var mayBlock: Bool { self == .wait || self == .quiesce || self == .compile }
}

/// What a child says without having been asked, and what a host says beside its calls.
package enum ChildNotice: UInt16, Sendable {
    // From the child.
    case log = 1, fired, progress, pong
    // From the host.
    case channel = 64, ping
}
