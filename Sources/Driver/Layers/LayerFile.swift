import Glibc
import Synchronization

/// A file that a layer writes to: made when the first bytes come, never closed. What cannot be written is left out; a layer must not stop a run.
final class LayerFile: Sendable {
    let path: String
    private struct State {
        var descriptor: Int32 = -1
        var length: UInt64 = 0
        var hasFailed = false
    }
    private let state = Mutex(State())

    init(_ path: String) { self.path = path }

    /// Refuses a path that cannot become a file.
    static func check(_ path: String, _ parameters: LayerParameters) throws(DriverError) {
        let folder = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        guard access(path, F_OK) == 0 ? access(path, W_OK) == 0 : access(folder, W_OK) == 0 else {
            throw parameters.wrong("cannot write \(path): \(String(cString: strerror(errno))); give another file")
        }
    }

    /// Gives where in the file the bytes begin.
    @discardableResult
    func append(_ bytes: some ContiguousBytesOfLayer) -> UInt64 {
        state.withLock { state in
            if state.descriptor < 0, !state.hasFailed {
                state.descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
                state.hasFailed = state.descriptor < 0
            }
            let start = state.length
            guard !state.hasFailed else { return start }
            let written = bytes.withLayerBytes { Self.write($0, to: state.descriptor) }
            state.length += UInt64(written)
            return start
        }
    }

    private static func write(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) -> Int {
        var done = 0
        while done < bytes.count {
            let count = Glibc.write(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            done += count
        }
        return done
    }
}

/// What a layer writes.
protocol ContiguousBytesOfLayer {
    func withLayerBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R
}

extension [UInt8]: ContiguousBytesOfLayer {
    func withLayerBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R { withUnsafeBytes(body) }
}

extension UnsafeRawBufferPointer: ContiguousBytesOfLayer {
    func withLayerBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R { body(self) }
}
