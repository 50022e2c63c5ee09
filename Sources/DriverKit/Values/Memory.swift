public import CDriver

/// What a buffer or pool may be used for.
public struct Access: OptionSet, Sendable, Hashable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public static let read = Access(rawValue: 1)
    public static let write = Access(rawValue: 2)
}

/// A name for a range of memory; it owns nothing. `offset` and `length` are checked: they are not negative and their sum fits.
public struct Memory: Sendable, Hashable {
    public enum Kind: Int32, Sendable, Hashable { case host = 1, memfd = 2, dmabuf = 3, link = 4 }

    public var kind: Kind
    /// Host: a pointer in this process; link: the link's address.
    public var address: UInt64
    /// memfd, dmabuf; borrowed. -1 otherwise.
    public var descriptor: Int32
    public var key: UInt64
    /// First byte of the range.
    public var offset: Int
    /// Bytes in the range.
    public var length: Int

    public init(_ kind: Kind, address: UInt64 = 0, descriptor: Int32 = -1, key: UInt64 = 0, offset: Int = 0, length: Int) {
        self.kind = kind
        self.address = address
        self.descriptor = descriptor
        self.key = key
        self.offset = offset
        self.length = length
    }

    /// The range of host memory at `base`.
    public static func host(_ base: UnsafeRawPointer, length: Int) -> Memory {
        Memory(.host, address: UInt64(UInt(bitPattern: base)), length: length)
    }

    init(_ raw: UnsafePointer<baton_memory>?) throws(DriverFailure) {
        let memory = try baton_memory.read(raw, "the memory")
        guard let kind = Kind(rawValue: memory.kind) else { throw .invalid("memory of the unknown kind \(memory.kind); name it as one of 1 to 4") }
        guard let offset = Int(exactly: memory.offset), let length = Int(exactly: memory.length), !offset.addingReportingOverflow(length).overflow
        else { throw .invalid("a range of \(memory.length) bytes from \(memory.offset) is longer than memory can be") }
        guard length > 0 else { throw .invalid("the memory has 0 bytes; name at least one") }
        let needsDescriptor = kind == .memfd || kind == .dmabuf
        guard let descriptor = Int32(exactly: memory.descriptor), !needsDescriptor || descriptor >= 0 else {
            throw .invalid("\(kind) memory has the descriptor \(memory.descriptor); give an open one")
        }
        guard kind != .host || memory.address != 0 else { throw .invalid("host memory has no address; give a pointer") }
        let end = memory.address.addingReportingOverflow(memory.offset).partialValue.addingReportingOverflow(memory.length)
        guard kind != .host || !end.overflow else { throw .invalid("host memory passes the end of the address space; check its length") }
        self.init(kind, address: memory.address, descriptor: needsDescriptor ? descriptor : -1, key: memory.key, offset: offset, length: length)
    }

    /// The contract's form.
    public var contract: baton_memory {
        baton_memory(
            size: UInt32(MemoryLayout<baton_memory>.size), kind: kind.rawValue, address: address, descriptor: Int64(descriptor), key: key,
            offset: UInt64(clamping: offset), length: UInt64(clamping: length))
    }
}
