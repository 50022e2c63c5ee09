internal import Synchronization

/// Whether the client at the other end of a connection has left, and who wants to know. Any thread.
final class Departure: Sendable {
    private struct State {
        var hasLeft = false
        var next = 0
        var listeners: [Int: @Sendable () -> Void] = [:]
    }
    private let state = Mutex(State())

    var hasLeft: Bool { state.withLock { $0.hasLeft } }

    /// Calls `body` once when the client leaves; at once if it has. Gives a number for `forget`.
    func whenLeft(_ body: @escaping @Sendable () -> Void) -> Int {
        let (number, isNow) = state.withLock { state -> (Int, Bool) in
            state.next += 1
            if state.hasLeft { return (state.next, true) }
            state.listeners[state.next] = body
            return (state.next, false)
        }
        if isNow { body() }
        return number
    }

    func forget(_ number: Int) { state.withLock { $0.listeners[number] = nil } }

    func leave() {
        let listeners = state.withLock { state -> [@Sendable () -> Void] in
            state.hasLeft = true
            defer { state.listeners = [:] }
            return Array(state.listeners.values)
        }
        for listener in listeners { listener() }
    }
}
