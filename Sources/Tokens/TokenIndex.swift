// SPDX-License-Identifier: Apache-2.0

/// A map from a token's spelling to its id, used while a tokenizer is built. Open addressing over the vocabulary's own
/// arrays; the hash has a random key, so that no file can be made to collide.
struct TokenIndex {
    private struct Slot {
        /// Of the spelling: most of those that are not it are told apart by this, without a look at their bytes.
        var tag: UInt32
        /// -1 where the slot is vacant.
        var id: Int32
    }

    private let tokens: ByteStrings
    private var slots: [Slot]
    private let key: (UInt64, UInt64) = (UInt64.random(in: 0...UInt64.max), UInt64.random(in: 0...UInt64.max) | 1)

    /// Of two tokens that are spelled alike, the first is found.
    init(_ tokens: ByteStrings) {
        self.tokens = tokens
        var capacity = 16
        while capacity < 2 * tokens.count { capacity *= 2 }
        slots = Array(repeating: Slot(tag: 0, id: -1), count: capacity)
        for id in tokens.indices {
            tokens.withBytes(id) { spelling in
                let (slot, tag) = place(of: UnsafeRawBufferPointer(spelling))
                if slots[slot].id < 0 { slots[slot] = Slot(tag: tag, id: Int32(id)) }
            }
        }
    }

    func find(_ spelling: UnsafeBufferPointer<UInt8>) -> Int32? {
        let id = slots[place(of: UnsafeRawBufferPointer(spelling)).slot].id
        return id < 0 ? nil : id
    }

    func find(_ spelling: [UInt8]) -> Int32? { spelling.withUnsafeBufferPointer { find($0) } }

    /// Where `spelling` is, or where it would go.
    private func place(of spelling: UnsafeRawBufferPointer) -> (slot: Int, tag: UInt32) {
        let hash = hash(spelling), tag = UInt32(hash >> 32)
        var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
        while slots[slot].id >= 0, slots[slot].tag != tag || !tokens.equals(Int(slots[slot].id), spelling) { slot = (slot + 1) & (slots.count - 1) }
        return (slot, tag)
    }

    /// Eight bytes at a time, the two halves of each product folded together; the length tells apart what differs in zeros at the end.
    private func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var hash = key.0 ^ UInt64(bytes.count)
        var at = 0
        while at < bytes.count {
            var word: UInt64 = 0
            if at + 8 <= bytes.count { word = bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self) } else {
                for index in at..<bytes.count { word = word << 8 | UInt64(bytes[index]) }
            }
            let product = (hash ^ word).multipliedFullWidth(by: key.1)
            hash = product.high ^ product.low &+ key.0
            at += 8
        }
        return hash
    }
}
