/// Numbers from a seed, the same on every machine.
struct Random {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed &* 2_862_933_555_777_941_757 &+ 3_037_000_493 }

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state >> 33
    }

    mutating func below(_ count: Int) -> Int { Int(next() % UInt64(max(count, 1))) }
    /// In -1 ..< 1.
    mutating func unit() -> Float { Float(next() & 0xFF_FFFF) / Float(1 << 23) - 1 }
    mutating func units(_ count: Int, scale: Float = 1) -> [Float] { (0..<count).map { _ in unit() * scale } }
    mutating func indices(_ count: Int, below limit: Int) -> [UInt32] { (0..<count).map { _ in UInt32(below(limit)) } }
    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(below(256)) } }

    mutating func shuffled(_ count: Int) -> [UInt32] {
        var all = (0..<count).map(UInt32.init)
        for index in stride(from: count - 1, to: 0, by: -1) { all.swapAt(index, below(index + 1)) }
        return all
    }
}
