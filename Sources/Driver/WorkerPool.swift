import CHost
import Glibc
import Synchronization

/// The one pool of worker threads of the process. Drivers reach it through `baton_host.parallel_for`; they start none of their own.
///
/// A job is a range of indices; the caller works too. Each thread has an equal run of them, so that it reads memory in one stream, takes it
/// in a few pieces, and helps the others with theirs when it is done. Workers spin for a moment after a job, because the next
/// one usually follows within microseconds, then park. While the pool is taken, whether by another thread or by
/// an outer call of the same one, a job runs whole on the thread that asked: nothing ever waits for the pool.
public final class WorkerPool: @unchecked Sendable {
    public typealias Body = @convention(c) (UnsafeMutableRawPointer?, UInt64, UInt64, UInt32) -> Void

    /// Threads that work on a job, the caller's included.
    public let count: Int
    let givesWay: Bool

    private struct Job {
        var body: Body
        var user: UnsafeMutableRawPointer?
        var count: UInt64
        var grain: UInt64
        var piece: UInt64
    }

    /// Written by the caller while `generation` is even, read by workers while it is odd.
    private var job: Job?
    private let taken = Atomic<Bool>(false)
    /// Odd while a job is open.
    private let generation = Atomic<UInt64>(0)
    /// The pieces of each thread's run that were taken, a cache line each. Pieces and not indices, so that no sum passes `count`.
    private let next: UnsafeMutablePointer<Atomic<UInt64>>
    private static let line = 64 / MemoryLayout<Atomic<UInt64>>.stride
    /// Workers that may be looking at `job`.
    private let inside = Atomic<Int>(0)
    private let parked = Atomic<Int>(0)
    private let gate = Gate()
    /// What a worker polls for before it parks, some 400 microseconds: longer than a host takes from one batch to the next.
    private static let rounds = 160
    private static let spins = 128

    /// `threads`: what to use, at least 1; nil: BATON_THREADS, else one for each processor this process may run on.
    /// `givesWay`: threads that compute, the callers of `run` among them, run at a lower priority and in longer slices from then on than others
    /// of the process: for one that answers requests, so that a token made is not kept waiting by the next one. Others get shorter slices.
    public init(threads: Int? = nil, givesWay: Bool = false) {
        self.givesWay = givesWay
        let wanted = threads ?? getenv("BATON_THREADS").flatMap { Int(String(cString: $0)) } ?? Int(chost_processors())
        count = min(max(1, wanted), 1024)
        next = .allocate(capacity: count * Self.line)
        for index in 0..<count * Self.line { (next + index).initialize(to: Atomic(0)) }
        if givesWay { chost_wake_promptly() }
        for index in 1..<max(count, 1) { start(worker: UInt32(index)) }
    }

    /// Runs `body` over `[0, count)` in pieces of at least `grain`; returns when all are done.
    public func run(count total: UInt64, grain: UInt64, body: Body, user: UnsafeMutableRawPointer?) {
        guard total > 0 else { return }
        let grain = max(grain, 1)
        let quarter = (total / UInt64(count) + 3) / 4
        let piece = quarter <= grain ? grain : (quarter - 1) / grain * grain + grain
        guard count > 1, total > grain, taken.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged else {
            return body(user, 0, total, 0)
        }
        if givesWay { chost_give_way() }
        let made = Job(body: body, user: user, count: total, grain: grain, piece: piece)
        job = made
        for thread in 0..<count { next[thread * Self.line].store(0, ordering: .relaxed) }
        generation.add(1, ordering: .sequentiallyConsistent)
        if parked.load(ordering: .sequentiallyConsistent) > 0 { gate.openAll() }
        work(made, worker: 0)
        generation.add(1, ordering: .sequentiallyConsistent)
        while inside.load(ordering: .sequentiallyConsistent) > 0 { chost_relax() }
        taken.store(false, ordering: .releasing)
    }

    /// What both give, the second called on another thread where one is free.
    public func both<A: Sendable, B: Sendable>(_ first: @Sendable () -> A, _ second: @Sendable () -> B) -> (A, B) {
        let a = Mutex<A?>(nil), b = Mutex<B?>(nil)
        func runFirst() {
            let made = first()
            a.withLock { $0 = made }
        }
        func runSecond() {
            let made = second()
            b.withLock { $0 = made }
        }
        withoutActuallyEscaping(runFirst) { runFirst in
            withoutActuallyEscaping(runSecond) { runSecond in
                withUnsafePointer(to: [runFirst, runSecond]) { calls in
                    run(count: 2, grain: 1, body: { calls, begin, end, _ in
                        guard let calls = calls?.assumingMemoryBound(to: [() -> Void].self).pointee else { return }
                        for index in begin..<end { calls[Int(index)]() }
                    }, user: UnsafeMutableRawPointer(mutating: calls))
                }
            }
        }
        // Both have run: neither is called again.
        return (a.withLock { $0 } ?? first(), b.withLock { $0 } ?? second())
    }

    /// The first index of a thread's run: a whole number of grains.
    private func first(of thread: Int, _ job: Job) -> UInt64 {
        let grains = (job.count - 1) / job.grain + 1
        let (quotient, rest) = grains.quotientAndRemainder(dividingBy: UInt64(count))
        let (index, overflow) = (quotient * UInt64(thread) + min(UInt64(thread), rest)).multipliedReportingOverflow(by: job.grain)
        return overflow ? job.count : min(index, job.count)
    }

    /// Its own run first, then what is left of the others'.
    private func work(_ job: Job, worker: UInt32) {
        for turn in 0..<count {
            let thread = (Int(worker) + turn) % count
            let (start, end) = (first(of: thread, job), first(of: thread + 1, job))
            guard start < end else { continue }
            let pieces = (end - start - 1) / job.piece + 1
            while true {
                let index = next[thread * Self.line].add(1, ordering: .relaxed).oldValue
                guard index < pieces else { break }
                let begin = start + index * job.piece
                job.body(job.user, begin, begin + min(job.piece, end - begin), worker)
            }
        }
    }

    private func start(worker: UInt32) {
        let pool = Unmanaged.passRetained(Start(pool: self, worker: worker)).toOpaque()
        var thread = pthread_t()
        let made = pthread_create(&thread, nil, { argument in
            guard let argument else { return nil }
            let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
            chost_name_thread("baton-worker")
            if start.pool.givesWay { chost_give_way() }
            start.pool.loop(worker: start.worker)
            return nil
        }, pool)
        if made == 0 { pthread_detach(thread) } else { Unmanaged<Start>.fromOpaque(pool).release() }
    }

    private func loop(worker: UInt32) {
        var seen: UInt64 = 0
        while true {
            seen = awaitJob(after: seen)
            inside.add(1, ordering: .sequentiallyConsistent)
            if generation.load(ordering: .sequentiallyConsistent) == seen, let job { work(job, worker: worker) }
            inside.subtract(1, ordering: .sequentiallyConsistent)
        }
    }

    /// The generation of an open job other than `seen`.
    private func awaitJob(after seen: UInt64) -> UInt64 {
        func open() -> UInt64? {
            let now = generation.load(ordering: .acquiring)
            return now != seen && now & 1 == 1 ? now : nil
        }
        for round in 0..<Self.rounds {
            for _ in 0..<Self.spins {
                if let found = open() { return found }
                chost_relax()
            }
            // Between two batches the host works: what it needs may wait for this processor. To park here would be worse: a worker and
            // another thread that wake on one idle processor at once run in either order, and a batch is long.
            if round > 0 { sched_yield() }
        }
        parked.add(1, ordering: .sequentiallyConsistent)
        defer { parked.subtract(1, ordering: .sequentiallyConsistent) }
        return gate.wait { open() }
    }

    private final class Start {
        let pool: WorkerPool
        let worker: UInt32
        init(pool: WorkerPool, worker: UInt32) {
            self.pool = pool
            self.worker = worker
        }
    }
}

/// A mutex and a condition, for threads that have nothing to do.
private final class Gate: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    func wait<T>(until ready: () -> T?) -> T {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            if let value = ready() { return value }
            pthread_cond_wait(condition, mutex)
        }
    }

    func openAll() {
        pthread_mutex_lock(mutex)
        pthread_cond_broadcast(condition)
        pthread_mutex_unlock(mutex)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }
}
