import CDriver

/// Numbers in the dtypes of the contract: what a device is given, and what those bytes mean exactly.
enum Encoding {
    static let names: [UInt32: String] = [1: "f32", 2: "f16", 3: "bf16", 4: "i32", 5: "u32", 6: "i8", 7: "mxfp8", 16: "q4_0", 17: "q4_1", 18: "q8_0"]
    /// Weights that this suite can write.
    static let known: [UInt32] = [1, 2, 3, 16, 17, 18]
    static func name(_ dtype: UInt32) -> String { names[dtype] ?? "dtype \(dtype)" }
    static func blockElements(_ dtype: UInt32) -> Int { dtype >= 16 || dtype == 7 ? 32 : 1 }

    /// `values` in `dtype`, rows of whole blocks; and the numbers that those bytes stand for.
    static func encode(_ values: [Float], _ dtype: UInt32) -> (bytes: [UInt8], exact: [Float]) {
        switch dtype {
        case 2: return plain(values) { Float16($0).bitPattern } back: { Float(Float16(bitPattern: $0)) }
        case 3: return plain(values, bfloat) { Float(bitPattern: UInt32($0) << 16) }
        case 16, 17, 18: return blocks(values, dtype)
        default: return plain(values) { $0.bitPattern } back: { Float(bitPattern: $0) }
        }
    }

    /// The numbers in `bytes` of a plain dtype.
    static func decode(_ bytes: [UInt8], _ dtype: UInt32) -> [Float] {
        bytes.withUnsafeBytes { raw in
            switch dtype {
            case 2: (0..<raw.count / 2).map { Float(Float16(bitPattern: raw.loadUnaligned(fromByteOffset: $0 * 2, as: UInt16.self))) }
            case 3: (0..<raw.count / 2).map { Float(bitPattern: UInt32(raw.loadUnaligned(fromByteOffset: $0 * 2, as: UInt16.self)) << 16) }
            default: (0..<raw.count / 4).map { raw.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) }
            }
        }
    }

    /// Bytes of one element of a plain dtype.
    static func width(_ dtype: UInt32) -> Int { dtype == 2 || dtype == 3 ? 2 : 4 }

    /// Rounded to nearest even.
    static func bfloat(_ value: Float) -> UInt16 {
        let bits = value.bitPattern
        return UInt16((bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16)
    }

    private static func plain<T: FixedWidthInteger>(_ values: [Float], _ to: (Float) -> T, back: (T) -> Float) -> ([UInt8], [Float]) {
        let coded = values.map(to)
        return (coded.withUnsafeBytes { Array($0) }, coded.map(back))
    }

    private static func blocks(_ values: [Float], _ dtype: UInt32) -> ([UInt8], [Float]) {
        var bytes: [UInt8] = []
        var exact: [Float] = []
        for start in stride(from: 0, to: values.count, by: 32) {
            let block = Array(values[start..<start + 32])
            let (coded, meant) = dtype == 18 ? q8(block) : q4(block, minimum: dtype == 17)
            bytes += coded
            exact += meant
        }
        return (bytes, exact)
    }

    private static func half(_ value: Float) -> (bytes: [UInt8], exact: Float) {
        let half = Float16(value)
        return ([UInt8(half.bitPattern & 0xFF), UInt8(half.bitPattern >> 8)], Float(half))
    }

    private static func q8(_ block: [Float]) -> ([UInt8], [Float]) {
        let scale = half((block.map(abs).max() ?? 0) / 127)
        let codes = block.map { Int8(clamping: Int(scale.exact == 0 ? 0 : ($0 / scale.exact).rounded())) }
        return (scale.bytes + codes.map { UInt8(bitPattern: $0) }, codes.map { Float($0) * scale.exact })
    }

    private static func q4(_ block: [Float], minimum: Bool) -> ([UInt8], [Float]) {
        let low = block.min() ?? 0
        let scale = half(minimum ? ((block.max() ?? 0) - low) / 15 : (block.map(abs).max() ?? 0) / 7)
        let offset = half(minimum ? low : 0)
        let zero: Float = minimum ? 0 : 8
        let codes = block.map { value -> UInt8 in
            guard scale.exact != 0 else { return UInt8(zero) }
            return UInt8(min(max(((value - offset.exact) / scale.exact + zero).rounded(), 0), 15))
        }
        let packed = (0..<16).map { codes[$0] | codes[$0 + 16] << 4 }
        return (scale.bytes + (minimum ? offset.bytes : []) + packed, codes.map { (Float($0) - zero) * scale.exact + offset.exact })
    }
}
