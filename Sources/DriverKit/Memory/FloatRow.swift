import Glibc

/// Rows of f32, f16 and bf16, copied and converted. Steps are in elements; memory need not be aligned.
public enum FloatRow {
    /// Copies `count` elements, rounding to nearest, ties to even. Equal dtypes are copied bit by bit. Other dtypes are left alone.
    public static func copy(
        _ count: Int, from source: UnsafeRawPointer, _ sourceType: DType, step sourceStep: Int, to target: UnsafeMutableRawPointer, _ targetType: DType,
        step targetStep: Int
    ) {
        switch (sourceType, targetType) {
        case (.f32, .f32): plain(UInt32.self, count, source, sourceStep, target, targetStep)
        case (.f16, .f16), (.bf16, .bf16): plain(UInt16.self, count, source, sourceStep, target, targetStep)
        case (.f32, .f16): each(count, source, sourceStep, target, targetStep) { (value: Float) in Float16(value) }
        case (.f32, .bf16): each(count, source, sourceStep, target, targetStep) { (value: Float) in narrow(value) }
        case (.f16, .f32): each(count, source, sourceStep, target, targetStep) { (value: Float16) in Float(value) }
        case (.f16, .bf16): each(count, source, sourceStep, target, targetStep) { (value: Float16) in narrow(Float(value)) }
        case (.bf16, .f32): each(count, source, sourceStep, target, targetStep) { (value: UInt16) in widen(value) }
        case (.bf16, .f16): each(count, source, sourceStep, target, targetStep) { (value: UInt16) in Float16(widen(value)) }
        default: return
        }
    }

    /// The bits of a bf16 nearest to `value`.
    @inline(__always)
    public static func narrow(_ value: Float) -> UInt16 {
        let bits = value.bitPattern
        guard !value.isNaN else { return UInt16(truncatingIfNeeded: bits >> 16) | 0x40 }
        return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16)
    }

    /// The value of the bits of a bf16.
    @inline(__always)
    public static func widen(_ bits: UInt16) -> Float { Float(bitPattern: UInt32(bits) << 16) }

    @inline(__always)
    private static func plain<T: BitwiseCopyable>(
        _ type: T.Type, _ count: Int, _ source: UnsafeRawPointer, _ sourceStep: Int, _ target: UnsafeMutableRawPointer, _ targetStep: Int
    ) {
        if sourceStep == 1, targetStep == 1 {
            memcpy(target, source, count * MemoryLayout<T>.size)
        } else {
            each(count, source, sourceStep, target, targetStep) { (value: T) in value }
        }
    }

    @inline(__always)
    private static func each<A: BitwiseCopyable, B: BitwiseCopyable>(
        _ count: Int, _ source: UnsafeRawPointer, _ sourceStep: Int, _ target: UnsafeMutableRawPointer, _ targetStep: Int, _ convert: (A) -> B
    ) {
        for index in 0..<count {
            let value = source.loadUnaligned(fromByteOffset: index * sourceStep * MemoryLayout<A>.size, as: A.self)
            target.storeBytes(of: convert(value), toByteOffset: index * targetStep * MemoryLayout<B>.size, as: B.self)
        }
    }
}
