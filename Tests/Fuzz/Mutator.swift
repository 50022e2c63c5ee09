/// Changes of bytes that find what random bytes do not: other numbers where numbers are, words of the format, pieces moved, ends cut off.
/// Seeded: the same seed gives the same bytes in every run.
public struct Mutator {
    private var state: UInt64
    private let seeds: [[UInt8]]
    private let words: [[UInt8]]
    private static let limit = 1 << 16
    private static let numbers: [UInt64] = [0, 1, 2, 7, 8, 16, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1 << 32, 1 << 40, .max >> 1, 1 << 63, .max - 7, .max]

    /// `seeds` are inputs that the target takes, or nearly.
    public init(seed: UInt64, seeds: [[UInt8]], words: [String] = []) {
        state = seed
        self.seeds = seeds.filter { !$0.isEmpty }
        self.words = words.map { Array($0.utf8) }
    }

    /// The next input: a seed after 1 to 8 changes.
    public mutating func next() -> [UInt8] {
        guard !seeds.isEmpty else { return (0..<below(64)).map { _ in UInt8(truncatingIfNeeded: random()) } }
        var bytes = seeds[below(seeds.count)]
        for _ in 0...below(8) { change(&bytes) }
        return Array(bytes.prefix(Self.limit))
    }

    private mutating func random() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }

    private mutating func below(_ end: Int) -> Int { Int(random() % UInt64(max(1, end))) }

    /// A piece of `bytes`, short more often than long.
    private mutating func piece(_ bytes: [UInt8]) -> Range<Int> {
        let start = below(bytes.count)
        let most = min(bytes.count - start, below(4) == 0 ? 4_096 : 32)
        return start..<(start + below(most + 1))
    }

    private mutating func change(_ bytes: inout [UInt8]) {
        guard !bytes.isEmpty else { return bytes = seeds[below(seeds.count)] }
        switch below(9) {
        case 0: bytes[below(bytes.count)] ^= 1 << UInt8(below(8))
        case 1: bytes[below(bytes.count)] = UInt8(truncatingIfNeeded: random())
        case 2, 3: putNumber(&bytes)
        case 4: bytes = Array(bytes.prefix(below(bytes.count + 1)))
        case 5: bytes.removeSubrange(piece(bytes))
        case 6:
            let copy = Array(bytes[piece(bytes)])
            bytes.insert(contentsOf: copy, at: below(bytes.count + 1))
        case 7:
            let other = seeds[below(seeds.count)]
            bytes.replaceSubrange(piece(bytes), with: other[piece(other)])
        default:
            guard !words.isEmpty else { return putNumber(&bytes) }
            bytes.replaceSubrange(below(2) == 0 ? piece(bytes) : 0..<0, with: words[below(words.count)])
        }
    }

    /// A number at the edge of something, little-endian, over what is there.
    private mutating func putNumber(_ bytes: inout [UInt8]) {
        let width = [1, 2, 4, 8][below(4)]
        guard bytes.count >= width else { return }
        let at = below(2) == 0 ? below(bytes.count - width + 1) : below(bytes.count - width + 1) / width * width
        let value = Self.numbers[below(Self.numbers.count)]
        for index in 0..<width { bytes[at + index] = UInt8(truncatingIfNeeded: value >> UInt64(index * 8)) }
    }
}
