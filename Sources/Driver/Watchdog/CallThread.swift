import CHost
import Glibc
import Synchronization

/// A thread that makes calls for others, one at a time. One that does not come back is left behind.
final class CallThread: @unchecked Sendable {
    /// One call on its way. Shared by who waits for it and the thread that makes it.
    final class Job: @unchecked Sendable {
        fileprivate let body: () -> baton_result
        fileprivate var result: baton_result?
        init(_ body: @escaping () -> baton_result) { self.body = body }
    }
    typealias baton_result = Int32

    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var job: Job?
    private var isIdle = true
    private var isEnding = false

    /// Threads that wait for work, kept for the next call.
    private static let idle = Mutex<[CallThread]>([])
    private static let kept = 16

    private init() {
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
        condition.deallocate()
    }

    /// Runs `body` on another thread and waits for it, up to `nanoseconds`. Gives nil when it was too late: it may still run then, for as long as it likes.
    /// Without a thread to be had it runs here.
    static func run(upTo nanoseconds: UInt64, _ body: @escaping () -> Int32) -> Int32? {
        guard let thread = idle.withLock({ $0.popLast() }) ?? started() else { return body() }
        let job = Job(body)
        guard let result = thread.take(job, nanoseconds) else { return nil }
        let keeps = idle.withLock { idle -> Bool in
            guard idle.count < kept else { return false }
            idle.append(thread)
            return true
        }
        if !keeps { thread.end() }
        return result
    }

    private static func started() -> CallThread? {
        let made = CallThread()
        let box = Unmanaged.passRetained(made)
        var handle = pthread_t()
        let code = pthread_create(&handle, nil, { box in
            if let box { Unmanaged<CallThread>.fromOpaque(box).takeRetainedValue().loop() }
            return nil
        }, box.toOpaque())
        guard code == 0 else {
            box.release()
            return nil
        }
        pthread_detach(handle)
        return made
    }

    private func take(_ job: Job, _ nanoseconds: UInt64) -> Int32? {
        let end = DriverClock.now.addingReportingOverflow(nanoseconds)
        let last = end.overflow ? UInt64.max / 2 : end.partialValue
        var until = timespec(tv_sec: Int(last / 1_000_000_000), tv_nsec: Int(last % 1_000_000_000))
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        self.job = job
        pthread_cond_broadcast(condition)
        while job.result == nil {
            if pthread_cond_timedwait(condition, mutex, &until) == ETIMEDOUT, job.result == nil {
                isEnding = true
                return nil
            }
        }
        return job.result
    }

    private func end() {
        pthread_mutex_lock(mutex)
        isEnding = true
        pthread_cond_broadcast(condition)
        pthread_mutex_unlock(mutex)
    }

    private func loop() {
        chost_name_thread("baton-call")
        pthread_mutex_lock(mutex)
        while true {
            while job == nil, !isEnding { pthread_cond_wait(condition, mutex) }
            guard let job else { break }
            pthread_mutex_unlock(mutex)
            let result = job.body()
            pthread_mutex_lock(mutex)
            job.result = result
            self.job = nil
            pthread_cond_broadcast(condition)
        }
        pthread_mutex_unlock(mutex)
    }
}
