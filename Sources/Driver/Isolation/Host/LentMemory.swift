import CIsolation
import Glibc

/// A buffer's memory that the child named by descriptor, mapped on this side. What the child does to it changes bytes, never whether they can be read.
final class LentMemory: @unchecked Sendable {
    /// The buffer's first byte.
    let base: UnsafeMutableRawPointer
    private let mapping: UnsafeMutableRawBufferPointer

    /// nil for memory that could become shorter or is not there. The descriptor stays the caller's.
    init?(_ descriptor: Int32, offset: UInt64, length: UInt64) {
        let (end, overflow) = offset.addingReportingOverflow(length)
        guard !overflow, end > 0, let count = Int(exactly: end), cisolation_keeps_length(descriptor, end) != 0,
            let mapped = mmap(nil, count, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), mapped != MAP_FAILED
        else { return nil }
        base = mapped + (count - Int(length))
        mapping = UnsafeMutableRawBufferPointer(start: mapped, count: count)
    }

    deinit { munmap(mapping.baseAddress, mapping.count) }
}
