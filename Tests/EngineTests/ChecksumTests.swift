import Testing

@testable import Engine

struct ChecksumTests {
    private static func sum(_ bytes: [UInt8]) -> UInt64 { bytes.withUnsafeBytes { Checksum.of($0) } }

    @Test("a changed bit, an exchange of words or stripes, and a lost or added byte are found, for every length")
    func damage() {
        for count in [0, 1, 7, 63, 64, 127, 128, 129, 255, 256, 1_000, 4_096] {
            var random = Seeded(state: UInt64(count) &+ 1)
            let bytes = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            let sound = Self.sum(bytes)
            #expect(Self.sum(bytes) == sound)
            #expect(Self.sum(bytes + [0]) != sound)
            guard count > 0 else { continue }
            #expect(Self.sum(Array(bytes.dropLast())) != sound)
            for _ in 0..<50 {
                var changed = bytes
                changed[Int(random.next() % UInt64(count))] ^= 1 << UInt8(random.next() % 8)
                #expect(Self.sum(changed) != sound)
            }
            for step in [8, 64, 128] where count >= 2 * step {
                var exchanged = bytes
                for index in 0..<step { exchanged.swapAt(index, index + step) }
                #expect(Self.sum(exchanged) != sound, "\(step) of \(count)")
            }
        }
    }

    @Test("the checksum of known bytes is known: it is the same on every processor")
    func known() {
        let bytes = (0..<300).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        #expect(Self.sum(bytes) == Self.expected)
    }

    @Test("a range goes in pieces that are as few as their size allows, then as even, and never none at a time")
    func pieces() {
        #expect(Staging.share(of: 128, each: 12_288) == 64)
        #expect(Staging.share(of: 85, each: 12_288) == 85)
        #expect(Staging.share(of: 3, each: 600_000) == 1)
        #expect(Staging.share(of: 7, each: 2 << 20) == 1)
        #expect(Staging.share(of: 1, each: 1) == 1)
        for count in [1, 5, 86, 1_000] {
            for each in [1, 999, 12_288, 1 << 20] {
                let share = Staging.share(of: count, each: each)
                #expect(share >= 1 && share <= count && share * each <= 1 << 20)
            }
        }
    }

    private static let expected: UInt64 = 0xACA5_873A_A63E_0BD0
}

private struct Seeded {
    var state: UInt64
    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state >> 17
    }
}
