import Driver
import Model

/// Weights that a device does not take as stored are converted by the host: dequantised exactly, then rounded to the wanted dtype.
enum WeightConversion {
    /// What `device` should be given for a weight stored as `stored`: as it is, else the first of bf16, f16, f32 it takes.
    static func target(for stored: DType, accepted: DTypeSet) -> DType? {
        if accepted.contains(stored) { return stored }
        return [DType.bf16, .f16, .f32].first(where: accepted.contains)
    }

    /// Converts `count` elements; `source` is whole blocks of `type`.
    static func convert(_ source: UnsafeRawBufferPointer, _ type: TensorType, count: Int, to dtype: DType, into target: UnsafeMutableRawBufferPointer) {
        guard let input = source.baseAddress, let output = target.baseAddress else { return }
        let block = type.blockElements
        withUnsafeTemporaryAllocation(of: Float.self, capacity: block) { values in
            guard let base = values.baseAddress else { return }
            for index in 0..<count / block {
                expand(input + index * type.blockBytes, type, values)
                Elements.move(base, .f32, (block, 1), output + dtype.bytes(index * block), dtype, (block, 1), rows: 1, columns: block)
            }
        }
    }

    /// One block as f32, as GGUF defines it.
    private static func expand(_ block: UnsafeRawPointer, _ type: TensorType, _ values: UnsafeMutableBufferPointer<Float>) {
        func half(_ offset: Int) -> Float { FloatBits.fromF16(block.loadUnaligned(fromByteOffset: offset, as: UInt16.self)) }
        func byte(_ offset: Int) -> UInt8 { block.load(fromByteOffset: offset, as: UInt8.self) }
        switch type {
        case .f32: values[0] = block.loadUnaligned(as: Float.self)
        case .f16: values[0] = half(0)
        case .bf16: values[0] = FloatBits.fromBF16(block.loadUnaligned(as: UInt16.self))
        case .q8_0:
            let scale = half(0)
            for i in 0..<32 { values[i] = scale * Float(Int8(bitPattern: byte(2 + i))) }
        case .q4_0:
            let scale = half(0)
            for i in 0..<16 {
                values[i] = scale * Float(Int(byte(2 + i) & 15) - 8)
                values[i + 16] = scale * Float(Int(byte(2 + i) >> 4) - 8)
            }
        case .q4_1:
            let (scale, minimum) = (half(0), half(2))
            for i in 0..<16 {
                values[i] = scale * Float(byte(4 + i) & 15) + minimum
                values[i + 16] = scale * Float(byte(4 + i) >> 4) + minimum
            }
        }
    }
}
