// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A regular file open for reading; closed when this value ends.
struct OpenFile: ~Copyable {
    let descriptor: CInt
    let byteCount: Int

    /// Opens without ever waiting: a pipe or a device in the file's place is refused, not read.
    init(reading path: String) throws(ModelError) {
        guard !path.utf8.contains(0) else { throw ModelError(.io, path, "a path cannot hold a zero byte") }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            throw ModelError(errno == ENOENT ? .missing : .io, path, "cannot open: \(errorText(errno))", remedy: "check the path")
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw ModelError(.io, path, "is not a regular file", remedy: "name a .gguf file")
        }
        self.descriptor = descriptor
        byteCount = Int(status.st_size)
    }

    deinit { close(descriptor) }

    /// Calls `body` with successive pieces of the file, each at most `chunk` bytes, until its end.
    borrowing func forEachChunk(
        of chunk: Int = 1 << 20, path: String, _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(ModelError) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: chunk, alignment: 64)
        defer { buffer.deallocate() }
        while true {
            let count = Glibc.read(descriptor, buffer.baseAddress, chunk)
            if count == 0 { return }
            if count > 0 {
                body(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            } else if errno != EINTR {
                throw ModelError(.io, path, "cannot read: \(errorText(errno))")
            }
        }
    }

    /// The whole file, refused when it is larger than `limit` bytes.
    static func contents(of path: String, limit: Int) throws(ModelError) -> [UInt8] {
        let file = try OpenFile(reading: path)
        guard file.byteCount <= limit else {
            throw ModelError(.invalid, path, "is \(file.byteCount) bytes, more than the \(limit) such a file may have")
        }
        var bytes: [UInt8] = []
        try file.forEachChunk(of: 1 << 16, path: path) { if bytes.count <= limit { bytes.append(contentsOf: $0) } }
        return bytes
    }
}

/// The system's words for an `errno` value.
func errorText(_ code: CInt) -> String { String(cString: strerror(code)) }
