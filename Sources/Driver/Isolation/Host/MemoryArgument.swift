import CDriver

/// A range of memory as the child is told of it: by descriptor where it has one, else by where it lies in memory that both see. Host memory that the child
/// cannot see is staged in shared memory, whose bytes are copied.
struct MemoryArgument {
    /// The wire's forms.
    enum Form: UInt8 { case absent = 0, asItIs, segment, ownAddress }

    private let memory: UnsafePointer<baton_memory>?
    private var form = Form.absent
    private var segment: (id: UInt64, offset: UInt64) = (0, 0)
    /// Lent to the call.
    private(set) var descriptors: [Int32] = []
    /// Host memory that was staged, and the staging.
    private(set) var staging: SharedMemory?
    private(set) var staged = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    private static let longestStaging: UInt64 = 1 << 34

    init(_ memory: UnsafePointer<baton_memory>?, for connection: ChildConnection) throws(DriverError) {
        self.memory = memory
        guard let memory else { return }
        form = .asItIs
        guard memory.pointee.size >= UInt32(MemoryLayout<baton_memory>.size) else { return }
        switch memory.pointee.kind {
        case baton_memory_kind(BATON_MEMORY_HOST): try reach(memory.pointee, connection)
        case baton_memory_kind(BATON_MEMORY_MEMFD), baton_memory_kind(BATON_MEMORY_DMABUF):
            if let descriptor = Int32(exactly: memory.pointee.descriptor), descriptor >= 0 { descriptors = [descriptor] }
        default: break
        }
    }

    private mutating func reach(_ raw: baton_memory, _ connection: ChildConnection) throws(DriverError) {
        if raw.key == Self.key(of: connection) { return form = .ownAddress }
        let start = raw.address.addingReportingOverflow(raw.offset)
        guard raw.address != 0, raw.length > 0, !start.overflow else { return }
        let found: (memory: SharedMemory, offset: UInt64)
        if let there = SharedMemory.find(start.partialValue, count: raw.length) { found = there } else {
            guard raw.length <= Self.longestStaging, let place = UnsafeMutableRawPointer(bitPattern: UInt(start.partialValue)) else {
                throw DriverError(
                    .invalidArgument, driver: "", call: "memory",
                    detail: "\(raw.length) bytes of host memory are more than can be shared with a driver in a child; name them by a descriptor")
            }
            let made = try SharedMemory(count: Int(raw.length))
            made.base.copyMemory(from: place, byteCount: Int(raw.length))
            (staging, staged, found) = (made, UnsafeMutableRawBufferPointer(start: place, count: Int(raw.length)), (made, 0))
        }
        try connection.know(found.memory)
        (form, segment) = (.segment, (found.memory.id, found.offset))
    }

    /// What marks an address as one of a child's own.
    static func key(of connection: ChildConnection) -> UInt64 { 0x6368_696C_6400_0000 | UInt64(UInt32(bitPattern: connection.process)) << 8 | 1 }

    func put(to writer: inout WireWriter) {
        writer.put(form.rawValue)
        guard form != .absent else { return }
        writer.put(struct: memory)
        guard form == .segment else { return }
        writer.put(segment.id)
        writer.put(segment.offset)
    }
}
