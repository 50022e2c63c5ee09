// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Tokens

@Suite("Cutting text into pieces")
struct TokenizerPieceTests {
    @Test("a space leads the word after it")
    func words() {
        #expect(pieces("a b, c!") == ["a", " b", ",", " c", "!"])
        #expect(pieces(" ...x é漢") == [" ...", "x", " é漢"])
    }

    @Test("of a run of spaces all but the last are one piece, and at the end all of them")
    func spaces() {
        #expect(pieces("a   b") == ["a", "  ", " b"])
        #expect(pieces("a \n b") == ["a", " \n", " b"])
        #expect(pieces("a\n\nb") == ["a", "\n", "\n", "b"])
        #expect(pieces("a \u{3000}b") == ["a", " ", "\u{3000}", "b"])
        #expect(pieces("a   ") == ["a", "   "])
        #expect(pieces("\u{85}\u{a0}\u{2028}") == ["\u{85}\u{a0}\u{2028}"])
    }

    @Test("contractions are cut off in lower case only")
    func contractions() {
        #expect(pieces("it's we'll I've you're 'm 'd") == ["it", "'s", " we", "'ll", " I", "'ve", " you", "'re", " '", "m", " '", "d"])
        #expect(pieces("IT'S") == ["IT", "'", "S"])
        #expect(pieces("'tis 'l '") == ["'t", "is", " '", "l", " '"])
        #expect(pieces("''s") == ["''", "s"])
    }

    @Test("smollm: every number is a piece, and white space before it stays whole")
    func isolatedNumbers() {
        #expect(pieces("a12 3   4") == ["a", "1", "2", " ", "3", "   ", "4"])
        #expect(pieces("x²Ⅷ٣½") == ["x", "²", "Ⅷ", "٣", "½"])
    }

    @Test("gpt-2: numbers run together and a space leads them")
    func runningNumbers() {
        #expect(pieces("a12 3²   4", isolatingNumbers: false) == ["a", "12", " 3²", "  ", " 4"])
    }

    @Test("marks, signs and unassigned scalars are neither letters nor numbers")
    func others() {
        #expect(pieces("e\u{301}x") == ["e", "\u{301}", "x"])
        #expect(pieces(" 🙂👍a\u{e0fff}") == [" 🙂👍", "a", "\u{e0fff}"])
    }

    @Test("a letter of a later Unicode version than 16 is not one")
    func unicodeVersion() {
        #expect(pieces("\u{32a21}'s") == ["\u{32a21}'", "s"])
        #expect(pieces("\u{31350}'s") == ["\u{31350}", "'s"])
    }

    @Test("the pieces of random text join to the text")
    func joined() {
        var random = SeededGenerator(seed: 7)
        for _ in 0..<500 {
            let scalars = (0..<20).compactMap { _ in Unicode.Scalar(UInt32.random(in: 0..<0x3100, using: &random)) }
            let text = String(String.UnicodeScalarView(scalars))
            #expect(pieces(text).joined().utf8.elementsEqual(text.utf8))
        }
    }
}

/// SplitMix64, so that tests repeat.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
