import CDriver

/// One call into a driver, as a layer sees it: which device, which function, what was passed. Pointers are the caller's and are good until the
/// call returns; `status` is always there.
struct Call: @unchecked Sendable {
    /// What a copy between buffers is given.
    struct BufferCopy {
        var to: OpaquePointer?
        var toOffset: UInt64
        /// As the host knows it; `invoke` gives the driver its own.
        var fromDevice: OpaquePointer?
        var from: OpaquePointer?
        var fromOffset: UInt64
        var length: UInt64
        var sync: UnsafePointer<baton_sync>?
    }
    /// What an export or import of KV is given.
    struct KVMove {
        var pool: OpaquePointer?
        var range: UnsafePointer<baton_kv_range>?
        var layout: UnsafePointer<baton_kv_layout>?
        var memory: UnsafePointer<baton_memory>?
        var sync: UnsafePointer<baton_sync>?
    }
    typealias Made = UnsafeMutablePointer<OpaquePointer?>?
    typealias Options = UnsafePointer<baton_options>?

    enum Arguments {
        case describe(Options, UnsafeMutablePointer<baton_device_info>?)
        case open(Options, Made)
        case info(UnsafeMutablePointer<baton_device_info>?)
        case health
        case quiesce(UInt64)
        case close
        case allocate(UInt64, Made)
        case importMemory(UnsafePointer<baton_memory>?, UInt32, Made)
        case exportMemory(OpaquePointer?, baton_memory_kind, UnsafeMutablePointer<baton_memory>?)
        case releaseBuffer(OpaquePointer?)
        case write(OpaquePointer?, UInt64, UnsafeRawPointer?, UInt64)
        case read(OpaquePointer?, UInt64, UnsafeMutableRawPointer?, UInt64)
        case map(OpaquePointer?, UInt32, UnsafeMutablePointer<UnsafeMutableRawPointer?>?)
        case unmap(OpaquePointer?)
        case copy(BufferCopy)
        case compile(UnsafePointer<baton_program_desc>?, Made)
        case programInfo(OpaquePointer?, UnsafeMutablePointer<baton_program_info>?)
        case releaseProgram(OpaquePointer?)
        case submit(OpaquePointer?, UnsafePointer<baton_batch>?, UnsafePointer<baton_sync>?)
        case createTimeline(UInt64, Made)
        case releaseTimeline(OpaquePointer?)
        case query(OpaquePointer?, UInt64, UnsafeMutablePointer<baton_event>?)
        case wait(OpaquePointer?, UInt64, UInt64, UnsafeMutablePointer<baton_event>?)
        case signal(OpaquePointer?, UInt64)
        case fail(OpaquePointer?, UnsafePointer<baton_status>?)
        case notify(OpaquePointer?, UInt64, baton_callback?, UnsafeMutableRawPointer?)
        case kvLayouts(Options, UnsafePointer<baton_kv_pool_desc>?, UInt32, UnsafeMutablePointer<baton_kv_layout>?, UInt32, UnsafeMutablePointer<UInt32>?)
        case kvCreate(UnsafePointer<baton_kv_pool_desc>?, Made)
        case kvRelease(OpaquePointer?)
        case kvShare(OpaquePointer?, baton_memory_kind, UnsafeMutablePointer<baton_memory>?, UnsafeMutablePointer<baton_kv_layout>?)
        case kvAdopt(UnsafePointer<baton_kv_pool_desc>?, UnsafePointer<baton_memory>?, UnsafePointer<baton_kv_layout>?, Made)
        case kvExport(KVMove)
        case kvImport(KVMove)
        case kvCopyBlocks(OpaquePointer?, UnsafePointer<UInt32>?, UnsafePointer<UInt32>?, UInt32, UnsafePointer<baton_sync>?)
        case estimate(Options, UnsafePointer<baton_program_desc>?, UnsafePointer<baton_work>?, UnsafeMutablePointer<baton_cost>?)
        case memory(Options, UnsafePointer<baton_program_desc>?, UInt64, baton_dtype, UnsafeMutablePointer<baton_memory_need>?)
    }

    var name: CallName
    /// Nil where the contract's function takes none.
    var device: LayeredDevice?
    var arguments: Arguments
    var status: UnsafeMutablePointer<baton_status>

    /// Fails the call with words of a layer's own.
    func refuse(_ code: DriverError.Code, _ words: String) -> baton_code {
        DriverError.put(code, words, into: status)
        return code.rawValue
    }

    /// What the status says; for a call that failed.
    var words: String {
        let room = MemoryLayout<baton_status>.size
        guard Int(status.pointee.size) >= room else { return "" }
        let length = min(Int(status.pointee.message_length), 492)
        let start = UnsafeRawPointer(status) + (MemoryLayout<baton_status>.offset(of: \.message) ?? 0)
        return String(decoding: UnsafeRawBufferPointer(start: start, count: length), as: UTF8.self)
            .split(whereSeparator: \.isNewline).joined(separator: " ")
    }
}

extension DriverError {
    /// Writes a failure into a status of any size; writes no byte past what it states.
    static func put(_ code: Code, _ words: String, into status: UnsafeMutablePointer<baton_status>) {
        let offset = MemoryLayout<baton_status>.offset(of: \.message) ?? 24
        let size = Int(status.pointee.size)
        guard size >= offset else { return }
        status.pointee.code = code.rawValue
        status.pointee.vendor_code = 0
        let bytes = Array(words.utf8.prefix(min(492, size - offset)))
        status.pointee.message_length = UInt32(bytes.count)
        UnsafeMutableRawBufferPointer(start: UnsafeMutableRawPointer(status) + offset, count: bytes.count).copyBytes(from: bytes)
    }
}
