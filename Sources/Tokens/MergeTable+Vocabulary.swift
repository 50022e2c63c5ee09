// SPDX-License-Identifier: Apache-2.0

extension MergeTable {
    /// The merges of a vocabulary. Of two for the same pair, the later one counts.
    /// - Throws: when a merge is not two tokens with a space between them, or a token is missing.
    init(_ merges: ByteStrings, _ index: TokenIndex) throws(TokensError) {
        self.init(capacity: merges.count)
        var joined: [UInt8] = []
        for (rank, merge) in merges.enumerated() {
            guard let space = merge.firstIndex(of: 0x20), let ids = Self.ids(merge, space, index, &joined) else {
                throw TokensError(
                    "merge \(rank) is \(quoted(String(decoding: merge, as: UTF8.self))): "
                        + "two tokens with a space between them are needed, whose joined text is a token too")
            }
            insert(ids.left, ids.right, Value(rank: Int32(rank), id: ids.both))
        }
    }

    private static func ids(
        _ merge: ArraySlice<UInt8>, _ space: Int, _ index: TokenIndex, _ joined: inout [UInt8]
    ) -> (left: Int32, right: Int32, both: Int32)? {
        joined.removeAll(keepingCapacity: true)
        joined += merge[..<space]
        joined += merge[(space + 1)...]
        return joined.withUnsafeBufferPointer { bytes in
            let middle = space - merge.startIndex
            guard
                let left = index.find(UnsafeBufferPointer(rebasing: bytes[..<middle])),
                let right = index.find(UnsafeBufferPointer(rebasing: bytes[middle...])),
                let both = index.find(bytes)
            else { return nil }
            return (left, right, both)
        }
    }
}
