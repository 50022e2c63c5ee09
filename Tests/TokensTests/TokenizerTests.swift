// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Tokens

@Suite("Encoding and decoding")
struct TokenizerTests {
    private let tiny = TinyVocabulary()

    @Test("the merge of the lowest rank is made first")
    func ranks() throws {
        let tokenizer = try tiny.tokenizer()
        #expect(tokenizer.encode("hello") == tiny.ids("hello"))
        #expect(tokenizer.encode(" hello w") == tiny.ids("Ġhello", "Ġw"))
        #expect(tokenizer.encode("lll") == tiny.ids("ll", "l"))
        #expect(tokenizer.encode("aaaaaaa") == tiny.ids("aaaa", "aa", "a"))
        #expect(tokenizer.encode("a's") == tiny.ids("a", "'s"))
    }

    @Test("a long piece merges as a short one does")
    func longPieces() throws {
        let tokenizer = try tiny.tokenizer(), fours = tiny.id("aaaa")
        #expect(tokenizer.encode(String(repeating: "a", count: 4_002)) == Array(repeating: fours, count: 1_000) + tiny.ids("aa"))
        let hellos = tokenizer.encode(String(repeating: "hello", count: 100))
        #expect(hellos == Array(repeating: tiny.id("hello"), count: 100))
    }

    @Test("a megabyte of one letter is encoded in linear memory and near-linear time")
    func hostileLength() throws {
        let tokenizer = try tiny.tokenizer()
        #expect(tokenizer.encode(String(repeating: "a", count: 1 << 18)).count == 1 << 16)
    }

    @Test("bytes without a token are left out before merging")
    func unknownBytes() throws {
        let tokenizer = try tiny.tokenizer()
        #expect(tokenizer.encode("\u{16}") == [])
        #expect(tokenizer.encode("hezllo") == tiny.ids("hello"))
        #expect(tokenizer.encode("") == [])
    }

    @Test("special tokens are found leftmost and longest, before anything else")
    func specials() throws {
        let tokenizer = try tiny.tokenizer()
        #expect(tokenizer.encode("a<|im_end|>b") == tiny.ids("a", "<|im_end|>", "b"))
        #expect(tokenizer.encode("<|im_end|>!") == tiny.ids("<|im_end|>!"))
        #expect(tokenizer.encode("<<x><user>") == tiny.ids("<x>", "<user>"))
        #expect(tokenizer.encode("a  <x>") == tiny.ids("a", "ĠĠ", "<x>"))
    }

    @Test("special tokens are plain text when the caller says so")
    func plainSpecials() throws {
        let tokenizer = try tiny.tokenizer()
        #expect(tokenizer.encode("a<x>hello", parsingSpecials: false) == tiny.ids("a", "hello"))
    }

    @Test("bytes that are not UTF-8 are refused with their offset")
    func invalidUTF8() throws {
        let tokenizer = try tiny.tokenizer()
        #expect(try tokenizer.encode(utf8: Array("hello".utf8)) == tiny.ids("hello"))
        #expect(refusal { _ = try tokenizer.encode(utf8: [0x61, 0x61, 0xff, 0x61]) }?.contains("byte 2 of 4") == true)
        #expect(refusal { _ = try tokenizer.encode(utf8: [0x61, 0xe2, 0x82]) }?.contains("byte 1 of 3") == true)
    }

    @Test("ids decode to what was encoded; control tokens can be left out")
    func decoding() throws {
        let tokenizer = try tiny.tokenizer()
        let ids = tokenizer.encode("<x> hello, <user>it's")
        #expect(tokenizer.decode(ids, skippingSpecials: false) == "<x> hello <user>t's")
        #expect(tokenizer.decode(ids, skippingSpecials: true) == " hello <user>t's")
        #expect(tokenizer.decode([-1, 9_999, .max, .min], skippingSpecials: false) == "")
        #expect(tokenizer.bytes(of: tiny.id("Ġw")) == [0x20, 0x77])
        #expect(tokenizer.bytes(of: -1) == [] && tokenizer.bytes(of: Int32(tokenizer.count)) == [])
    }

    @Test("control tokens are special, and those that end a turn are known")
    func roles() throws {
        let tokenizer = try tiny.tokenizer()
        #expect(tokenizer.isSpecial(tiny.id("<x>")) && !tokenizer.isSpecial(tiny.id("<user>")))
        #expect(!tokenizer.isSpecial(-1) && !tokenizer.isSpecial(.max))
        #expect(tokenizer.ends == Set(tiny.ids("<x>", "<|im_end|>")))
        #expect(tokenizer.special("<user>") == tiny.id("<user>") && tokenizer.special("<us") == nil)
        #expect(tokenizer.bos == tiny.id("<|im_start|>") && tokenizer.eos == tiny.id("<x>"))
        #expect(tokenizer.count == tiny.all.count)
    }

    @Test("the byte-level alphabet spells every byte, and reads it back")
    func alphabet() {
        let alphabet = ByteAlphabet()
        #expect(Set(alphabet.scalars).count == 256)
        #expect(String(decoding: alphabet.spelling(of: 0x20), as: UTF8.self) == "Ġ")
        #expect(String(decoding: alphabet.spelling(of: 0x0a), as: UTF8.self) == "Ċ")
        for byte in UInt8.min...UInt8.max {
            var read: [UInt8] = []
            #expect(alphabet.append(alphabet.spelling(of: byte)[...], to: &read) && read == [byte])
        }
        var read: [UInt8] = [1]
        #expect(!alphabet.append(Array("a漢".utf8)[...], to: &read) && read == [1])
        #expect(!alphabet.append([0xc4], to: &read) && !alphabet.append([0x20], to: &read))
    }
}
