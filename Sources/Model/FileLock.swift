// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Keeps two processes from doing the same work at once. The system releases the lock when its holder ends, however it ends.
enum FileLock {
    /// Runs `body` while holding the lock file at `path`. While another holds it, calls `waiting` once and then looks again every 100 ms.
    static func whileHeld<Result>(
        _ path: String, waiting: () -> Void, _ body: () throws(ModelError) -> Result
    ) throws(ModelError) -> Result {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw ModelError(
                .io, path, "cannot make the lock file: \(errorText(errno))", remedy: "set BATON_MODELS to a folder you may write")
        }
        defer { close(descriptor) }
        var told = false
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            guard errno == EWOULDBLOCK || errno == EINTR else { throw ModelError(.io, path, "cannot lock: \(errorText(errno))") }
            if !told { waiting() }
            told = true
            usleep(100_000)
        }
        return try body()
    }
}
