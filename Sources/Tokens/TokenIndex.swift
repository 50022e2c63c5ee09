// SPDX-License-Identifier: Apache-2.0

/// A map from a token's spelling to its id, used while a tokenizer is built. Open addressing over the vocabulary's own
/// arrays; the hash is the standard library's, seeded for each process.
struct TokenIndex {
    private let tokens: ByteStrings
    private var slots: [Int32]

    /// Of two tokens that are spelled alike, the first is found.
    init(_ tokens: ByteStrings) {
        self.tokens = tokens
        var capacity = 16
        while capacity < 2 * tokens.count { capacity *= 2 }
        slots = Array(repeating: -1, count: capacity)
        for id in tokens.indices {
            let slot = tokens.withBytes(id) { self.slot(of: $0) }
            if slots[slot] < 0 { slots[slot] = Int32(id) }
        }
    }

    func find(_ spelling: UnsafeBufferPointer<UInt8>) -> Int32? {
        let id = slots[slot(of: spelling)]
        return id < 0 ? nil : id
    }

    func find(_ spelling: [UInt8]) -> Int32? { spelling.withUnsafeBufferPointer { find($0) } }

    private func slot(of spelling: UnsafeBufferPointer<UInt8>) -> Int {
        var hasher = Hasher()
        hasher.combine(bytes: UnsafeRawBufferPointer(spelling))
        var slot = hasher.finalize() & (slots.count - 1)
        while slots[slot] >= 0, !tokens.withBytes(Int(slots[slot]), { $0.elementsEqual(spelling) }) { slot = (slot + 1) & (slots.count - 1) }
        return slot
    }
}
