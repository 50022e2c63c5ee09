import DriverKit
import Glibc

/// Memory mapped from the system: zero until touched, so that a large pool costs what is used of it. Owned once.
struct MappedMemory: ~Copyable, @unchecked Sendable {
    let base: UnsafeMutableRawPointer
    let count: Int

    /// - Parameter largePages: for memory that will be used whole.
    init(count: Int, for what: String, largePages: Bool = false) throws(DriverFailure) {
        let mapped = mmap(nil, max(count, 1), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard let mapped, mapped != MAP_FAILED else {
            throw DriverFailure(.resourceExhausted, "no \(count) bytes of memory for \(what); close other devices or choose a smaller model")
        }
        // Large pages cost fewer faults and fewer address translations; where the system has none to give, nothing changes.
        if largePages { madvise(mapped, count, 14 /* MADV_HUGEPAGE */) }
        base = mapped
        self.count = count
    }

    deinit { munmap(base, max(count, 1)) }
}
