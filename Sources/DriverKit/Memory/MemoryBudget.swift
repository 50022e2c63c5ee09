import Synchronization

/// The memory of a device, counted. Threads: any.
public final class MemoryBudget: Sendable {
    /// Bytes in all.
    public let limit: Int
    private let taken = Mutex(0)

    public init(limit: Int) { self.limit = max(limit, 0) }

    public var used: Int { taken.withLock { $0 } }
    public var free: Int { limit - used }

    /// RESOURCE_EXHAUSTED with bytes needed and bytes free.
    public func reserve(_ bytes: Int, for what: String) throws(DriverFailure) {
        try taken.withLock { (taken: inout Int) throws(DriverFailure) in
            let free = limit - taken
            guard bytes >= 0, bytes <= free else {
                throw DriverFailure(.resourceExhausted, "\(what) needs \(bytes) bytes, \(free) free of \(limit); release something or use a smaller one")
            }
            taken += bytes
        }
    }

    /// Gives back what was reserved.
    public func release(_ bytes: Int) { taken.withLock { $0 = max(0, $0 - max(0, bytes)) } }

    /// Reserves for as long as the reservation lives.
    public func hold(_ bytes: Int, for what: String) throws(DriverFailure) -> Reservation {
        try reserve(bytes, for: what)
        return Reservation(self, bytes)
    }

    /// Bytes that are given back when it goes.
    public final class Reservation: Sendable {
        public let bytes: Int
        private let budget: MemoryBudget

        fileprivate init(_ budget: MemoryBudget, _ bytes: Int) {
            self.budget = budget
            self.bytes = bytes
        }

        deinit { budget.release(bytes) }
    }
}
