/// Why a frame cannot be read.
package struct WireError: Error, Hashable, Sendable, CustomStringConvertible {
    package let description: String
    package init(_ words: String) { description = words }
}

/// Reads a frame, whoever wrote it: nothing past its end is touched, and nothing is believed that the frame has no bytes for.
package struct WireReader {
    private let bytes: [UInt8]
    private var offset = 0

    package init(_ bytes: [UInt8]) { self.bytes = bytes }

    package var remaining: Int { bytes.count - offset }

    package mutating func take<T: FixedWidthInteger>(_: T.Type = T.self) throws(WireError) -> T {
        let size = MemoryLayout<T>.size
        guard remaining >= size else { throw WireError("a frame of \(bytes.count) bytes ends inside a number at \(offset)") }
        defer { offset += size }
        return bytes.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: T.self)) }
    }

    package mutating func takeFlag() throws(WireError) -> Bool {
        let value: UInt8 = try take()
        guard value <= 1 else { throw WireError("a flag is \(value), which is neither 0 nor 1") }
        return value == 1
    }

    package mutating func takeDouble() throws(WireError) -> Double { Double(bitPattern: try take()) }

    /// A count of bytes and the bytes; nil when they were left out.
    package mutating func takeBytes(limit: Int = Wire.limit) throws(WireError) -> ArraySlice<UInt8>? {
        let count: UInt32 = try take()
        guard count != Wire.absent else { return nil }
        guard Int(count) <= limit, Int(count) <= remaining else {
            throw WireError("\(count) bytes are stated at \(offset) of a frame of \(bytes.count); at most \(min(limit, remaining)) can be there")
        }
        defer { offset += Int(count) }
        return bytes[offset..<offset + Int(count)]
    }

    package mutating func takeText(limit: Int = 1 << 16) throws(WireError) -> String {
        String(decoding: try takeBytes(limit: limit) ?? [], as: UTF8.self)
    }

    /// How many things follow, each of at least `size` bytes.
    package mutating func takeCount(of size: Int, limit: Int) throws(WireError) -> Int {
        let count: UInt32 = try take()
        guard Int(count) <= limit, Int(count) <= remaining / max(size, 1) else {
            throw WireError("\(count) things of \(size) bytes are stated and \(remaining) bytes follow; at most \(limit) are taken")
        }
        return Int(count)
    }

    /// Nothing is left over.
    package func end() throws(WireError) {
        guard remaining == 0 else { throw WireError("\(remaining) bytes are left over at the end of a frame of \(bytes.count)") }
    }
}
