/// The frames that host and child send each other: little-endian numbers one after another, and what is counted comes after its count.
package struct WireWriter {
    package private(set) var bytes: [UInt8] = []

    package init() { bytes.reserveCapacity(512) }

    package mutating func put(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    package mutating func put(_ value: Bool) { bytes.append(value ? 1 : 0) }

    package mutating func put(_ value: Double) { put(value.bitPattern) }

    /// A count of bytes and the bytes.
    package mutating func put(_ raw: UnsafeRawBufferPointer) {
        put(UInt32(clamping: raw.count))
        bytes.append(contentsOf: raw)
    }

    package mutating func put(_ text: String) {
        var copy = text
        copy.withUTF8 { put(UnsafeRawBufferPointer($0)) }
    }

    /// Bytes that somebody may have left out.
    package mutating func put(_ start: UnsafeRawPointer?, count: Int) {
        guard let start else { return put(Wire.absent) }
        put(UnsafeRawBufferPointer(start: start, count: count))
    }
}

/// What both ends of a frame agree on.
package enum Wire {
    /// In place of a count: there is nothing, which is not the same as none.
    package static let absent: UInt32 = .max
    /// Bytes of one frame at most; what is longer goes in pieces.
    package static let limit = 4 << 20
    /// Bytes of a channel's segment before its frame: the mailbox, and what fills up its page.
    package static let mailbox = 4_096
    /// Bytes of one piece of a buffer on its way.
    package static let piece = 4 << 20
    /// Bytes of buffers whose memory is named to the host, where the driver can name it: the size of results. Each holds a descriptor in the child.
    package static let lent: ClosedRange<UInt64> = 16 << 10...16 << 20
    /// Bytes of a channel's segment: a mailbox, a frame, and a piece after it.
    package static let segment = mailbox + limit + piece
    /// Bytes of one struct of the contract at most.
    package static let structLimit: UInt32 = 4_096
}
