import Dispatch
import Synchronization

/// Waits for asynchronous work where the command's own thread has nothing else to do.
enum Waiting {
    private final class Outcome<R: Sendable>: Sendable {
        let result = Mutex<Result<R, any Error>?>(nil)
    }

    /// Blocks the calling thread, which must be none of the runtime's own.
    static func result<R: Sendable>(_ body: @escaping @Sendable () async throws -> R) throws -> R {
        let outcome = Outcome<R>()
        let done = DispatchSemaphore(value: 0)
        Task {
            let result = await Result.catching(body)
            outcome.result.withLock { $0 = result }
            done.signal()
        }
        done.wait()
        guard let result = outcome.result.withLock({ $0 }) else { throw CancellationError() }
        return try result.get()
    }
}

extension Result where Failure == any Error {
    /// What `body` gives or throws.
    static func catching(_ body: () async throws -> Success) async -> Result {
        do { return .success(try await body()) } catch { return .failure(error) }
    }
}
