import CDriver

/// How far results may be from the reference.
enum Closeness {
    /// For operations computed in f32 from start to end.
    static let exact: Float = 2e-5

    /// For linear: by the loosest type that the device says it computes in, and the weight's own.
    static func linear(_ bench: Bench) -> Float {
        let mask = bench.info.compute_dtypes
        func has(_ dtype: UInt32) -> Bool { mask & (1 << UInt64(dtype)) != 0 }
        if has(6) || has(7) { return 3e-2 }
        if has(3) { return 2e-2 }
        return has(2) ? 4e-3 : 1e-4
    }

    /// For results that have been through the KV pool.
    static func attention(_ bench: Bench) -> Float { attention(bench, kv: bench.info.kv_dtype) }

    static func attention(_ bench: Bench, kv dtype: UInt32) -> Float {
        switch dtype {
        case 3: max(2e-2, linear(bench))
        case 2: max(4e-3, linear(bench))
        default: linear(bench)
        }
    }

    /// The largest difference, as a part of the largest value wanted, or of `least` if that is larger; infinite where counts differ or a value is
    /// not a number.
    static func difference(_ found: [Float], _ wanted: [Float], least: Float = 0) -> Float {
        guard found.count == wanted.count else { return .infinity }
        let scale = wanted.reduce(least) { max($0, abs($1)) }
        var worst: Float = 0
        for (a, b) in zip(found, wanted) {
            let gap = abs(a - b)
            guard gap.isFinite else { return .infinity }
            worst = max(worst, gap)
        }
        return scale > 0 ? worst / scale : worst
    }

    /// Throws when `found` is farther than `tolerance` from `wanted`.
    static func hold(_ what: String, _ found: [Float], to wanted: [Float], _ tolerance: Float, least: Float = 0) throws {
        let gap = difference(found, wanted, least: least)
        guard gap > tolerance else { return }
        let worst = zip(found, wanted).enumerated().max { abs($0.element.0 - $0.element.1) < abs($1.element.0 - $1.element.1) }
        let words = worst.map { "element \($0.offset) is \($0.element.0) and should be \($0.element.1)" } ?? "there are \(found.count) values and should be \(wanted.count)"
        throw Broken("\(what): \(words); the difference is \(gap) of the largest value, \(tolerance) is allowed")
    }

    /// Throws where one element is farther from what it should be than `tolerance` of that element, or of the least number that counts. What is not a
    /// number has to be none; an infinity has to be the same.
    static func holdEach(_ what: String, _ found: [Float], to wanted: [Float], _ tolerance: Float) throws {
        guard found.count == wanted.count else { throw Broken("\(what): there are \(found.count) values and should be \(wanted.count)") }
        for (index, (a, b)) in zip(found, wanted).enumerated() {
            let isSame = b.isNaN ? a.isNaN : b.isInfinite ? a == b : abs(a - b) <= tolerance * max(abs(b), 1e-6)
            try require(isSame, "\(what): element \(index) is \(a) and should be \(b)")
        }
    }
}
