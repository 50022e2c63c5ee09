// SPDX-License-Identifier: Apache-2.0

/// The control and user-defined tokens, found in text as themselves: leftmost first, the longest of those that start there.
struct SpecialTokens: Sendable {
    /// A bound on the work for one byte of text.
    private static let longest = 1_024

    /// A trie: (node, byte) to node. Node 0 is the root.
    private var edges: MergeTable
    /// The token that ends at each node, or -1.
    private var ends: [Int32] = [-1]
    /// Whether a token starts with the byte.
    private var starts = [Bool](repeating: false, count: 256)

    /// An empty token, or one that is not UTF-8, is in no text and is passed over.
    /// - Throws: when a token is longer than 1,024 bytes.
    init(_ vocabulary: Vocabulary) throws(TokensError) {
        let tokens = vocabulary.tokens
        let special = vocabulary.kinds.indices.filter {
            vocabulary.kinds[$0] == .control || vocabulary.kinds[$0] == .userDefined
        }
        edges = MergeTable(capacity: special.reduce(0) { $0 + tokens[$1].count })
        for id in special where String(validating: tokens[id], as: UTF8.self) != nil {
            guard tokens[id].count <= Self.longest else {
                throw TokensError(
                    "special token \(id) has \(tokens[id].count) bytes: \(Self.longest) is the most, the file is damaged")
            }
            insert(tokens[id], Int32(id))
        }
    }

    private mutating func insert(_ token: ArraySlice<UInt8>, _ id: Int32) {
        guard let first = token.first else { return }
        starts[Int(first)] = true
        var node: Int32 = 0
        for byte in token {
            if let edge = edges.find(node, Int32(byte)) {
                node = edge.id
            } else {
                let new = Int32(ends.count)
                edges.insert(node, Int32(byte), MergeTable.Value(rank: 0, id: new))
                ends.append(-1)
                node = new
            }
        }
        if ends[Int(node)] < 0 { ends[Int(node)] = id }
    }

    /// The id of the token written `text`.
    func find(_ text: String) -> Int32? {
        var text = text
        return text.withUTF8 { bytes in
            guard !bytes.isEmpty, let match = match(at: 0, in: bytes), match.end == bytes.count else { return nil }
            return match.id
        }
    }

    /// The first token in `text` from `start` on.
    func next(from start: Int, in text: UnsafeBufferPointer<UInt8>) -> (id: Int32, start: Int, end: Int)? {
        var position = start
        while position < text.count {
            if starts[Int(text[position])], let match = match(at: position, in: text) {
                return (match.id, position, match.end)
            }
            position += 1
        }
        return nil
    }

    private func match(at start: Int, in text: UnsafeBufferPointer<UInt8>) -> (id: Int32, end: Int)? {
        var node: Int32 = 0, position = start
        var found: (id: Int32, end: Int)?
        while position < text.count, let edge = edges.find(node, Int32(text[position])) {
            node = edge.id
            position += 1
            if ends[Int(node)] >= 0 { found = (ends[Int(node)], position) }
        }
        return found
    }
}
