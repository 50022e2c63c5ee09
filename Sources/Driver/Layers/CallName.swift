/// A function of the contract that a device's driver is called through, as layers, traces, recordings and deadlines name it.
public enum CallName: String, Sendable, Hashable, CaseIterable, Codable {
    case describe, open, info, health, quiesce, close
    case allocate, importMemory = "import_memory", exportMemory = "export_memory", releaseBuffer = "release_buffer", write, read, map, unmap, copy
    case compile, programInfo = "program_info", releaseProgram = "release_program", submit
    case createTimeline = "create_timeline", releaseTimeline = "release_timeline", query, wait, signal, fail, notify
    case kvLayouts = "kv_layouts", kvCreate = "kv_create", kvRelease = "kv_release", kvShare = "kv_share", kvAdopt = "kv_adopt"
    case kvExport = "kv_export", kvImport = "kv_import", kvCopyBlocks = "kv_copy_blocks"
    case estimate, memory

    /// Frees or ends something and gives no code.
    var isRelease: Bool {
        switch self {
        case .close, .releaseBuffer, .unmap, .releaseProgram, .releaseTimeline, .kvRelease: true
        default: false
        }
    }
}
