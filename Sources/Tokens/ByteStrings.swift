// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Many short strings of bytes in one piece of memory: a vocabulary has some fifty thousand, and an allocation for each takes several times the room.
public struct ByteStrings: RandomAccessCollection, Sendable {
    private var bytes: [UInt8] = []
    /// Where each one ends.
    private var ends: [UInt32] = []

    /// - Parameters:
    ///   - count: how many are to be expected.
    ///   - length: of each, about.
    public init(expecting count: Int = 0, of length: Int = 8) {
        ends.reserveCapacity(count)
        bytes.reserveCapacity(count * length)
    }

    public init(_ strings: some Sequence<[UInt8]>) {
        self.init()
        for string in strings { string.withUnsafeBytes { append($0) } }
    }

    /// All of them together may have 4 GiB; what is beyond is dropped.
    public mutating func append(_ string: UnsafeRawBufferPointer) {
        if bytes.count + string.count <= Int(UInt32.max) { bytes.append(contentsOf: string) }
        ends.append(UInt32(bytes.count))
    }

    public var startIndex: Int { 0 }
    public var endIndex: Int { ends.count }
    public subscript(position: Int) -> ArraySlice<UInt8> { bytes[range(position)] }

    /// Calls `body` with the bytes of one, without copying or counting them.
    func withBytes<R>(_ position: Int, _ body: (UnsafeBufferPointer<UInt8>) -> R) -> R {
        bytes.withUnsafeBufferPointer { body(UnsafeBufferPointer(rebasing: $0[range(position)])) }
    }

    /// Whether one is `other`, byte for byte.
    func equals(_ position: Int, _ other: UnsafeRawBufferPointer) -> Bool {
        let range = range(position)
        guard range.count == other.count else { return false }
        return bytes.withUnsafeBytes { all in
            guard let these = all.baseAddress, let those = other.baseAddress else { return true } // both are empty
            return memcmp(these + range.lowerBound, those, range.count) == 0
        }
    }

    private func range(_ position: Int) -> Range<Int> { Int(position == 0 ? 0 : ends[position - 1])..<Int(ends[position]) }
}
