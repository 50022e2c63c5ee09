internal import CHost

/// A 64-bit checksum of a piece of KV. It finds damage; it is no defence against forgery.
package enum Checksum {
    package static func of(_ bytes: UnsafeRawBufferPointer) -> UInt64 { chost_checksum(bytes.baseAddress, bytes.count) }

    /// The same bytes summed twice, before and after a way that leaves them where they are: stretch by stretch, so that the second look at each
    /// finds it in the first cache. Both results are equal unless a byte changed in between; they are not `of`'s.
    package static func twice(of bytes: UnsafeRawBufferPointer) -> (before: UInt64, after: UInt64) {
        var sums: (before: UInt64, after: UInt64) = (0, 0)
        var rest = bytes[...]
        while !rest.isEmpty {
            let stretch = UnsafeRawBufferPointer(rebasing: rest.prefix(stretchBytes))
            sums.before = sums.before &* 0x9E37_79B1_85EB_CA87 ^ of(stretch)
            sums.after = sums.after &* 0x9E37_79B1_85EB_CA87 ^ of(stretch)
            rest = rest.dropFirst(stretchBytes)
        }
        return sums
    }
    private static let stretchBytes = 16 << 10
}
