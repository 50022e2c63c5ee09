// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Bytes that stay at one address and are never written while this object lives: a file mapped read-only, or a copy of an array.
///
/// `@unchecked Sendable`: the bytes are written before `init` returns and never after, so any number of threads may read them.
final class MappedBytes: @unchecked Sendable {
    let bytes: UnsafeRawBufferPointer
    /// The descriptor of the mapped file, open as long as this lives; nil for a copy.
    let descriptor: Int32?
    private let release: (UnsafeRawBufferPointer) -> Void

    /// Maps the regular file at `path`. A file that another process shortens later is beyond what mapping can guard against.
    init(path: String) throws(ModelError) {
        let file = try OpenFile(reading: path)
        let count = file.byteCount
        guard count > 0 else {
            throw ModelError(.truncated, path, "the file is empty (0 bytes)", remedy: "download it again")
        }
        let address = mmap(nil, count, PROT_READ, MAP_PRIVATE, file.descriptor, 0)
        guard let address, address != MAP_FAILED else {
            throw ModelError(.io, path, "cannot map \(count) bytes: \(errorText(errno))")
        }
        // Only some of the file is read here: not in pieces of 2 MiB.
        madvise(address, count, 15 /* MADV_NOHUGEPAGE */)
        bytes = UnsafeRawBufferPointer(start: address, count: count)
        let kept = dup(file.descriptor)
        descriptor = kept >= 0 ? kept : nil
        release = {
            munmap(UnsafeMutableRawPointer(mutating: $0.baseAddress), $0.count)
            if kept >= 0 { close(kept) }
        }
    }

    /// Copies `array` to memory aligned as a page is.
    init(copying array: [UInt8]) {
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: array.count, alignment: 4_096)
        copy.copyBytes(from: array)
        bytes = UnsafeRawBufferPointer(copy)
        descriptor = nil
        release = { UnsafeMutableRawBufferPointer(mutating: $0).deallocate() }
    }

    /// Lets go of a mapped file's pages in this process: they come back from the file as they are read.
    func forget() {
        if descriptor != nil { madvise(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count, MADV_DONTNEED) }
    }

    deinit { release(bytes) }
}
