// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Tokens

@Suite("Streaming text")
struct TokenStreamTests {
    private func streamed(_ parts: [ArraySlice<UInt8>]) -> String {
        var stream = TokenStream(), text = ""
        for part in parts { text += stream.append(Array(part)) }
        return text + stream.finish()
    }

    private func same(_ left: String, _ right: String) -> Bool { left.utf8.elementsEqual(right.utf8) }

    private let texts: [[UInt8]] = [
        Array("héllo 漢字 🙂👨‍👩‍👧 e\u{301} \r\n".utf8), [0xff, 0x61, 0xc3], [0xe2, 0x82], [0xf0, 0x9f, 0x98],
        [0xf0, 0x9f, 0x98, 0x61], [0xe0, 0x80, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xc0, 0x80, 0xc2],
        [0x80, 0x80, 0x80, 0x80, 0xe2, 0xe2, 0x82, 0xac], [0xf5, 0x80, 0x80], [0xf0, 0x80], [0xef, 0xbb, 0xbf, 0x61],
    ]

    @Test("cut at every two places, the parts join to the whole text")
    func everyBoundary() {
        for bytes in texts {
            let whole = String(decoding: bytes, as: UTF8.self)
            for first in 0...bytes.count {
                for second in first...bytes.count {
                    #expect(same(streamed([bytes[..<first], bytes[first..<second], bytes[second...]]), whole))
                }
            }
            #expect(same(streamed(bytes.indices.map { bytes[$0...$0] }), whole))
        }
    }

    @Test("a character appears when its last byte comes, and not before")
    func heldBack() {
        var stream = TokenStream()
        #expect(stream.append([0x61, 0xf0, 0x9f]) == "a")
        #expect(stream.append([0x99]) == "")
        #expect(stream.append([0x82, 0x62]) == "🙂b")
        #expect(stream.finish() == "")
    }

    @Test("what cannot become a character is not held back")
    func invalidAtOnce() {
        var stream = TokenStream()
        #expect(stream.append([0xff]) == "\u{fffd}")
        #expect(stream.append([0xe2, 0x82]) == "")
        #expect(stream.append([0x61]) == "\u{fffd}a")
        #expect(stream.append([0xc3]) == "")
        #expect(stream.finish() == "\u{fffd}")
        #expect(stream.append([0xa9]) == "\u{fffd}")
    }

    @Test("random bytes in random parts join to the whole text")
    func random() {
        var random = SeededGenerator(seed: 11)
        let likely: [UInt8] = [0x61, 0x80, 0x9f, 0xa0, 0xbf, 0xc1, 0xc3, 0xe0, 0xe2, 0xed, 0xf0, 0xf4, 0xf5, 0xff]
        for _ in 0..<3_000 {
            let bytes = (0..<12).map { _ in likely[Int.random(in: 0..<likely.count, using: &random)] }
            let cut = Int.random(in: 0...12, using: &random), whole = String(decoding: bytes, as: UTF8.self)
            #expect(same(streamed([bytes[..<cut], bytes[cut...]]), whole), "\(bytes) at \(cut)")
        }
    }
}
