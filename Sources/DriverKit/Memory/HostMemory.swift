import Glibc

/// A range of memory that this process can touch: host memory as it is, a memfd or a file mapped for as long as this lives.
/// Host memory stays its maker's and must outlive this.
public final class HostMemory: @unchecked Sendable {
    /// The first byte of the range.
    public let base: UnsafeMutableRawPointer
    /// Bytes in the range.
    public let length: Int
    private let mapping: UnsafeMutableRawBufferPointer?

    public var bytes: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: base, count: length) }

    /// UNIMPLEMENTED for memory that is neither host memory nor a memfd; OUT_OF_RANGE when a memfd is shorter than the range.
    public init(_ memory: Memory, access: Access) throws(DriverFailure) {
        length = memory.length
        switch memory.kind {
        case .host:
            guard let base = UnsafeMutableRawPointer(bitPattern: UInt(memory.address)) else { throw .invalid("host memory has no address; give a pointer") }
            self.base = base + memory.offset
            mapping = nil
        case .memfd:
            let mapped = try Self.map(memory, access)
            mapping = mapped.mapping
            base = mapped.base
        case .dmabuf, .link: throw .unimplemented("reach \(memory.kind) memory; name it as host memory or a memfd")
        }
    }

    private static func map(
        _ memory: Memory, _ access: Access
    ) throws(DriverFailure) -> (mapping: UnsafeMutableRawBufferPointer, base: UnsafeMutableRawPointer) {
        var file = stat()
        guard fstat(memory.descriptor, &file) == 0 else { throw .invalid("descriptor \(memory.descriptor) is not open: error \(errno)") }
        guard memory.offset + memory.length <= Int(file.st_size) else {
            throw DriverFailure(.outOfRange, "\(memory.length) bytes from \(memory.offset) pass the end of a memfd of \(file.st_size) bytes")
        }
        let page = sysconf(Int32(_SC_PAGESIZE))
        let start = memory.offset / page * page
        let length = memory.offset - start + memory.length
        let protection = (access.contains(.read) ? PROT_READ : 0) | (access.contains(.write) ? PROT_WRITE : 0)
        guard let made = mmap(nil, length, protection, MAP_SHARED, memory.descriptor, start), made != MAP_FAILED else {
            throw DriverFailure(.resourceExhausted, "cannot map \(length) bytes of descriptor \(memory.descriptor): error \(errno)")
        }
        // Where a file's pages are cached in large pieces, reading one row would otherwise bring 2 MiB into this process's count.
        madvise(made, length, 15 /* MADV_NOHUGEPAGE */)
        return (UnsafeMutableRawBufferPointer(start: made, count: length), made + (memory.offset - start))
    }

    /// Lets go of the pages that lie wholly in a range which will not be read soon: what is in them stays in the file or memfd, and comes back
    /// when it is read. Nothing happens to host memory, which is somebody else's.
    public func release(_ range: Range<Int>) {
        guard let pages = pages(range, outward: false) else { return }
        madvise(pages.baseAddress, pages.count, MADV_DONTNEED)
    }

    /// Brings in the pages of a range that will be read at once, no others. Where the system cannot, they come one by one as they are read.
    public func fetch(_ range: Range<Int>) {
        guard let pages = pages(range, outward: true) else { return }
        madvise(pages.baseAddress, pages.count, 22 /* MADV_POPULATE_READ, Linux 5.14 */)
    }

    /// The pages of the mapping that a range lies in, or those that lie in it.
    private func pages(_ range: Range<Int>, outward: Bool) -> UnsafeMutableRawBufferPointer? {
        guard let mapping, let start = mapping.baseAddress, range.lowerBound >= 0, range.upperBound <= length, !range.isEmpty else { return nil }
        let page = sysconf(Int32(_SC_PAGESIZE))
        let (from, to) = (base - start + range.lowerBound, base - start + range.upperBound)
        let first = (outward ? from : from + page - 1) / page * page
        let last = outward || to == mapping.count ? to : to / page * page
        return first < last ? UnsafeMutableRawBufferPointer(start: start + first, count: last - first) : nil
    }

    deinit {
        if let mapping { munmap(mapping.baseAddress, mapping.count) }
    }
}
