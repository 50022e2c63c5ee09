/// Seeded chance (SplitMix64), the same on every machine.
struct Dice: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }

    mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }

    /// `bytes` with a few of them changed, left out, doubled or moved.
    mutating func mutated(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        for _ in 0...below(4) {
            let place = below(bytes.count + 1)
            switch below(5) {
            case 0 where place < bytes.count: bytes[place] = UInt8(truncatingIfNeeded: next())
            case 1 where place < bytes.count: bytes.remove(at: place)
            case 2 where place < bytes.count: bytes.insert(bytes[place], at: place)
            case 3: bytes.insert(contentsOf: Array(["/", "..", "%", "\"", "{", "[", ",", "=", ";", "\u{0}", "é", "1e999", "null"][below(13)].utf8), at: place)
            default: if place < bytes.count { bytes.swapAt(place, below(bytes.count)) }
            }
        }
        return bytes
    }
}
