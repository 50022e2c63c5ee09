// SPDX-License-Identifier: Apache-2.0

/// Cuts text into the pieces within which tokens are merged: GPT-2's pattern
/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`, scanned by hand in linear time.
struct PreTokenizer: Sendable {
    /// Whether every numeric scalar is a piece of its own. The text before it then ends there, for the lookahead too.
    let isolatesNumbers: Bool

    /// Where the piece that starts at `start`, which is before the end of `text`, ends. `text` is valid UTF-8.
    func pieceEnd(from start: Int, in text: UnsafeBufferPointer<UInt8>) -> Int {
        let first = ScalarClass.read(text, at: start)
        switch first.kind {
        case .letter: return runEnd(of: .letter, from: first.end, in: text)
        case .number: return isolatesNumbers ? first.end : runEnd(of: .number, from: first.end, in: text)
        case .space: return spaceEnd(from: start, first.end, in: text)
        case .other: return contractionEnd(from: start, in: text) ?? runEnd(of: .other, from: first.end, in: text)
        }
    }

    private func runEnd(of kind: ScalarClass, from start: Int, in text: UnsafeBufferPointer<UInt8>) -> Int {
        var end = start
        while end < text.count {
            let scalar = ScalarClass.read(text, at: end)
            guard scalar.kind == kind else { break }
            end = scalar.end
        }
        return end
    }

    /// A run of white space is one piece at the end of the text. Before anything else its last scalar is left over, and
    /// if that is a space it leads the next piece.
    private func spaceEnd(from start: Int, _ firstEnd: Int, in text: UnsafeBufferPointer<UInt8>) -> Int {
        var last = start, end = firstEnd
        while end < text.count {
            let next = ScalarClass.read(text, at: end)
            if next.kind == .space {
                (last, end) = (end, next.end)
                continue
            }
            if isolatesNumbers && next.kind == .number { return end }
            if last > start { return last }
            return text[start] == 0x20 ? runEnd(of: next.kind, from: next.end, in: text) : end
        }
        return end
    }

    /// Lower case only, as in the pattern.
    private func contractionEnd(from start: Int, in text: UnsafeBufferPointer<UInt8>) -> Int? {
        guard text[start] == 0x27, start + 1 < text.count else { return nil }
        let second = text[start + 1], third = start + 2 < text.count ? text[start + 2] : 0
        switch (second, third) {
        case (0x73, _), (0x74, _), (0x6d, _), (0x64, _): return start + 2  // 's 't 'm 'd
        case (0x72, 0x65), (0x76, 0x65), (0x6c, 0x6c): return start + 3  // 're 've 'll
        default: return nil
        }
    }
}
