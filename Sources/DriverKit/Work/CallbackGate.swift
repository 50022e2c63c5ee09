import Glibc

/// Counts the host's callbacks that are running, and closes for good when the device is quiesced.
final class CallbackGate: @unchecked Sendable {
    private let condition = Condition()
    private var running: [pthread_t] = []
    private var closed = false
    /// Callbacks that are due and have not begun.
    private var expected = 0

    /// Runs the callback unless the gate is closed.
    func pass(_ body: () -> Void) {
        let me = pthread_self()
        let open = condition.locked { () -> Bool in
            if closed { return false }
            running.append(me)
            return true
        }
        guard open else { return }
        body()
        condition.locked {
            if let at = running.lastIndex(of: me) { running.remove(at: at) }
            if closed { condition.wakeAll() }
        }
    }

    /// A callback is due that another thread will make: the gate stays open for it.
    func expect() { condition.locked { expected += 1 } }

    /// It has been made.
    func came() {
        condition.locked {
            expected -= 1
            if expected == 0 { condition.wakeAll() }
        }
    }

    /// Whether the calling thread is inside a callback, where it must not block.
    var isInside: Bool {
        let me = pthread_self()
        return condition.locked { running.contains(me) }
    }

    /// No callback starts after this began, and none runs when it returns.
    func close() {
        condition.locked {
            while expected > 0 { condition.wait() }
            closed = true
            while !running.isEmpty { condition.wait() }
        }
    }
}
