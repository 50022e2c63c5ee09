import Glibc

/// A thread of its own, for work that blocks on a device.
final class WorkThread: @unchecked Sendable {
    private var handle = pthread_t()
    private var isStarted = false

    private final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Runs `body` on a thread of its own and waits for what it gives; on this one when the system has none left.
    static func run<R>(_ body: () throws(EngineError) -> R) throws(EngineError) -> R {
        let outcome = withoutActuallyEscaping(body) { body in
            let errand = Errand(body)
            let thread = WorkThread()
            guard thread.start({ errand.run() }) else { return Result(catching: body) }
            thread.join()
            return errand.outcome ?? Result(catching: body)
        }
        return try outcome.get()
    }

    /// One thread runs it and another, which waited for that one, reads the outcome.
    private final class Errand<R>: @unchecked Sendable {
        private let body: () throws(EngineError) -> R
        private(set) var outcome: Result<R, EngineError>?
        init(_ body: @escaping () throws(EngineError) -> R) { self.body = body }
        func run() { outcome = Result(catching: body) }
    }

    /// Runs `body` on a new thread. Gives false when the system has none left.
    func start(_ body: @escaping @Sendable () -> Void) -> Bool {
        let box = Unmanaged.passRetained(Body(body))
        let code = pthread_create(&handle, nil, { box in
            if let box { Unmanaged<Body>.fromOpaque(box).takeRetainedValue().run() }
            return nil
        }, box.toOpaque())
        isStarted = code == 0
        if !isStarted { box.release() }
        return isStarted
    }

    /// Waits for its end; once.
    func join() {
        guard isStarted else { return }
        isStarted = false
        pthread_join(handle, nil)
    }

    /// It ends by itself and nobody waits for it.
    func detach() {
        guard isStarted else { return }
        isStarted = false
        pthread_detach(handle)
    }
}
