internal import CHost

/// A 64-bit checksum of a piece of KV. It finds damage; it is no defence against forgery.
package enum Checksum {
    package static func of(_ bytes: UnsafeRawBufferPointer) -> UInt64 { chost_checksum(bytes.baseAddress, bytes.count) }
}
