import Glibc

/// Memory for the arguments of one call, freed when the call is over. Zeroed, aligned to 16 bytes, and bounded.
package final class Arena {
    private var pieces: [UnsafeMutableRawPointer] = []
    private var total = 0
    package static let limit = 64 << 20

    package init() {}

    package func room(_ count: Int) throws(WireError) -> UnsafeMutableRawPointer {
        guard count >= 0, count <= Self.limit - total, let piece = calloc(1, max(count, 16)) else {
            throw WireError("the arguments of one call take more than \(Self.limit) bytes")
        }
        total += count
        pieces.append(piece)
        return piece
    }

    /// A copy of `bytes` with `extra` zeroed bytes after it.
    package func copy(_ bytes: ArraySlice<UInt8>, room wanted: Int = 0) throws(WireError) -> UnsafeMutableRawPointer {
        let piece = try room(max(bytes.count, wanted))
        bytes.withUnsafeBytes { source in
            if let base = source.baseAddress { piece.copyMemory(from: base, byteCount: source.count) }
        }
        return piece
    }

    deinit { for piece in pieces { free(piece) } }
}
