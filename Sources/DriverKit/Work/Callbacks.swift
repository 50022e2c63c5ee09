import Glibc

/// Where the host's callbacks run: on the thread that signals, or on a thread of their own where that one is the host's, which may hold what a callback wants.
enum Callbacks {
    private static let key: pthread_key_t = {
        var key = pthread_key_t()
        pthread_key_create(&key, nil)
        return key
    }()
    private static let queue = SubmissionQueue(depth: .max)

    /// Runs `body`; callbacks that are due in it run elsewhere.
    static func deferred(_ body: () -> Void) {
        let before = pthread_getspecific(key)
        pthread_setspecific(key, UnsafeRawPointer(bitPattern: 1))
        body()
        pthread_setspecific(key, before)
    }

    /// Makes the callback through `gate`, now or soon; on this thread where no other is to be had.
    static func run(_ gate: CallbackGate, _ callback: @escaping @Sendable () -> Void) {
        guard pthread_getspecific(key) != nil else { return gate.pass(callback) }
        gate.expect()
        do throws(DriverFailure) {
            try queue.enqueue(waits: [], work: { () throws(DriverFailure) in
                gate.pass(callback)
                gate.came()
                return Times(.wall, start: 0, end: 0)
            }, signals: [])
        } catch {
            gate.pass(callback)
            gate.came()
        }
    }
}
