import CDriver
import Glibc

/// What a check of an operation draws from the suite's seed beside its fixed shapes: anything that the headers allow and the device says it takes.
struct Draw {
    let seed: UInt64
    var random: Random
    private let info: baton_device_info

    init(_ bench: Bench, _ rule: UInt64) {
        seed = bench.subject.seed
        random = Random(seed &* 1_000 &+ rule)
        info = bench.info
    }

    /// 1 to `most`: as often beside a power of two, where tails begin and end, as anywhere.
    mutating func count(_ most: Int) -> Int {
        let (near, any) = ((1 << random.below(8)) + random.below(3) - 1, 1 + random.below(most))
        return random.below(2) == 0 && (1...most).contains(near) ? near : any
    }

    mutating func isOne(in count: Int) -> Bool { random.below(count) == 0 }
    mutating func pick<T>(_ all: [T]) -> T { all[random.below(all.count)] }

    /// From `low` to `high`, which are above 0, each order of magnitude alike.
    mutating func between(_ low: Float, _ high: Float) -> Float { low * powf(high / low, (random.unit() + 1) / 2) }

    /// Tokens of one batch.
    mutating func tokens() -> Int { count(min(130, Int(info.max_batch_tokens))) }

    /// Columns of a weight in `dtype`: whole blocks.
    mutating func columns(_ dtype: UInt32 = 1, most: Int = 200) -> Int {
        let block = Encoding.blockElements(dtype)
        return count(most / block) * block
    }

    /// A dtype of vectors: one of the plain ones that the device takes weights in.
    mutating func plain() -> UInt32 { pick([1, 2, 3].filter { info.weight_dtypes & (1 << UInt64($0)) != 0 || $0 == 1 }) }

    /// A dtype of the device's KV.
    mutating func kv() -> UInt32 {
        let known = ([1, 2, 3] as [UInt32]).filter { info.kv_dtypes & (1 << UInt64($0)) != 0 }
        return known.isEmpty ? info.kv_dtype : pick(known)
    }

    /// Values of a weight; now and then the first 32, which may be a block, are zero.
    mutating func weights(_ count: Int) -> [Float] {
        var values = random.units(count)
        if isOne(in: 4) { for index in values.indices.prefix(32) { values[index] = 0 } }
        return values
    }

    /// Values of an input: one in sixteen is an edge.
    mutating func values(_ count: Int, _ spread: Float, edges: [Float]) -> [Float] {
        (0..<count).map { _ in edges.isEmpty || !isOne(in: 16) ? random.unit() * spread : pick(edges) }
    }

    /// `count` tokens of up to three sequences, which begin at positions up to `most`.
    mutating func pieces(_ count: Int, vocabulary: Int, position most: Int) -> [Feed.Piece] {
        var (left, pieces): (Int, [Feed.Piece]) = (count, [])
        let sequences = 1 + random.below(min(3, Int(info.max_batch_sequences)))
        while left > 0 {
            let length = pieces.count + 1 == sequences ? left : 1 + random.below(left)
            let tokens = (0..<length).map { _ in UInt32(isOne(in: 8) ? vocabulary - 1 : random.below(vocabulary)) }
            pieces.append(Feed.Piece(tokens: tokens, position: random.below(most + 1)))
            left -= length
        }
        return pieces
    }

    /// Up to `count` rows, or none, in any order, perhaps one more than once.
    mutating func rows(of count: Int) -> [UInt32] { isOne(in: 6) ? [] : random.indices(self.count(count), below: count) }
}
