import Crypto
import Glibc

/// The sha256 of a whole file, read piece by piece.
struct FileDigest: Sendable {
    /// 64 lower-case hexadecimal digits.
    let sha256: String
    let byteCount: Int

    init(of path: String) throws(DriverError) {
        func fail() -> DriverError { DriverError(.notFound, driver: path, call: "sha256", detail: "cannot be read: \(String(cString: strerror(errno)))") }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw fail() }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw DriverError(.invalidArgument, driver: path, call: "sha256", detail: "is not a regular file")
        }
        guard let digest = FileDigest(descriptor) else { throw fail() }
        self = digest
    }

    /// Of an open file; nil where reading fails.
    init?(_ descriptor: Int32) {
        var hash = SHA256()
        var offset = 0
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 64)
        defer { piece.deallocate() }
        while true {
            let count = pread(descriptor, piece.baseAddress, piece.count, off_t(offset))
            if count == 0 { break }
            if count > 0 {
                hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: piece[..<count]))
                offset += count
            } else if errno != EINTR { return nil }
        }
        sha256 = hash.finalize().hex
        byteCount = offset
    }
}
