import CHost
import Glibc

/// Calls under way, each with a time by which it is to have returned; one thread of the process looks after them all. A call costs two locks: the thread
/// is woken for one only when it would look too late.
final class CallWatch: @unchecked Sendable {
    static let shared = CallWatch()

    /// A call under way.
    final class Ticket: @unchecked Sendable {
        fileprivate let end: UInt64
        fileprivate let late: () -> String
        /// What was said of it when it was late.
        fileprivate var words: String?

        fileprivate init(_ end: UInt64, _ late: @escaping () -> String) {
            self.end = end
            self.late = late
        }
    }

    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var tickets: [ObjectIdentifier: Ticket] = [:]
    private var isStarted = false
    /// When the thread looks next.
    private var nextLook = UInt64.max

    private init() {
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    /// A call begins that may take so many nanoseconds. `late` runs once if it takes longer, on the watching thread: it must be brief, and gives what
    /// is said of the call.
    func begin(_ nanoseconds: UInt64, late: @escaping () -> String) -> Ticket {
        let (end, overflow) = DriverClock.now.addingReportingOverflow(nanoseconds)
        let ticket = Ticket(overflow ? .max : end, late)
        locked {
            tickets[ObjectIdentifier(ticket)] = ticket
            if !isStarted { isStarted = start() }
            if ticket.end < nextLook { pthread_cond_signal(condition) }
        }
        return ticket
    }

    /// The call has returned. Gives what was said of it if it was late.
    func end(_ ticket: Ticket) -> String? {
        locked {
            tickets[ObjectIdentifier(ticket)] = nil
            return ticket.words
        }
    }

    private func locked<R>(_ body: () -> R) -> R {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body()
    }

    private func start() -> Bool {
        var thread = pthread_t()
        let made = pthread_create(&thread, nil, { _ in
            chost_name_thread("baton-watch")
            CallWatch.shared.watch()
            return nil
        }, nil)
        if made == 0 { pthread_detach(thread) }
        return made == 0
    }

    private func watch() {
        pthread_mutex_lock(mutex)
        while true {
            let now = DriverClock.now
            for (key, ticket) in tickets where ticket.end <= now {
                tickets[key] = nil
                ticket.words = ticket.late()
            }
            nextLook = tickets.values.reduce(.max) { min($0, $1.end) }
            guard nextLook < .max else {
                pthread_cond_wait(condition, mutex)
                continue
            }
            var until = timespec(tv_sec: Int(nextLook / 1_000_000_000), tv_nsec: Int(nextLook % 1_000_000_000))
            pthread_cond_timedwait(condition, mutex, &until)
        }
    }
}
