import Glibc

/// A mutex and a condition whose deadlines are on CLOCK_MONOTONIC.
final class Condition: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    init() {
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    func locked<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body()
    }

    /// Inside `locked`: sleeps until woken, perhaps for nothing.
    func wait() { pthread_cond_wait(condition, mutex) }

    /// Inside `locked`: sleeps until woken, perhaps for nothing, or until `deadline`, nanoseconds of CLOCK_MONOTONIC; false when it has passed.
    func wait(until deadline: UInt64) -> Bool {
        guard deadline < UInt64.max else { wait(); return true }
        var time = timespec(tv_sec: Int(deadline / 1_000_000_000), tv_nsec: Int(deadline % 1_000_000_000))
        return pthread_cond_timedwait(condition, mutex, &time) != ETIMEDOUT
    }

    func wakeAll() { pthread_cond_broadcast(condition) }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// `timeout` nanoseconds from now; .max: never.
    static func deadline(_ timeout: UInt64) -> UInt64 {
        let (sum, overflow) = Clock.now().addingReportingOverflow(timeout)
        return overflow ? .max : sum
    }

    /// Polls `ready` for about 20 microseconds, which is less than a sleep and a wake cost, or for as long as is said.
    @inline(__always)
    static func spin(nanoseconds: UInt64 = 20_000, _ ready: () -> Bool) -> Bool {
        if ready() { return true }
        let until = Clock.now() &+ nanoseconds
        repeat {
            for _ in 0..<64 where ready() { return true }
            // What is waited for may have this processor's queue to itself: let it run.
            sched_yield()
        } while Clock.now() < until
        return ready()
    }
}
