// SPDX-License-Identifier: Apache-2.0

import Crypto

/// SHA-256 of whole files, read piece by piece.
enum Checksum {
    /// In lower-case hexadecimal. `progress` is given the bytes read so far and the size of the file.
    static func sha256(of path: String, progress: (Int, Int) -> Void = { _, _ in }) throws(ModelError) -> String {
        let file = try OpenFile(reading: path)
        let total = file.byteCount
        var hash = SHA256()
        var read = 0
        try file.forEachChunk(of: 1 << 22, path: path) {
            hash.update(bufferPointer: $0)
            read += $0.count
            progress(read, total)
        }
        return hash.finalize().map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// Throws, with both sums, when the file's is not `expected`.
    static func require(_ expected: String, of path: String, progress: (Int, Int) -> Void = { _, _ in }) throws(ModelError) {
        let found = try sha256(of: path, progress: progress)
        guard found == expected else {
            throw ModelError(
                .checksum, path, "has sha256 \(found), where \(expected) is wanted", remedy: "remove the file and pull the model again")
        }
    }
}
