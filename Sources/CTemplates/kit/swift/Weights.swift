/// Weights as f32.
enum Weights {
    /// `count` elements, whole blocks.
    static func decode(_ dtype: DType, _ bytes: UnsafeRawPointer, _ count: Int, _ out: UnsafeMutablePointer<Float>) {
        switch dtype {
        case .q4_0, .q4_1, .q8_0:
            for block in 0..<count / 32 { decodeBlock(dtype, bytes + block * dtype.blockBytes, out + block * 32) }
        default: FloatRow.copy(count, from: bytes, dtype, step: 1, to: out, .f32, step: 1)
        }
    }

    private static func decodeBlock(_ dtype: DType, _ bytes: UnsafeRawPointer, _ out: UnsafeMutablePointer<Float>) {
        func half(_ offset: Int) -> Float { Float(Float16(bitPattern: bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self))) }
        let scale = half(0)
        guard dtype != .q8_0 else {
            for index in 0..<32 { out[index] = scale * Float(bytes.load(fromByteOffset: 2 + index, as: Int8.self)) }
            return
        }
        let (least, codes) = dtype == .q4_1 ? (half(2), bytes + 4) : (-8 * scale, bytes + 2)
        for index in 0..<16 {
            let code = codes.load(fromByteOffset: index, as: UInt8.self)
            out[index] = scale * Float(code & 15) + least
            out[index + 16] = scale * Float(code >> 4) + least
        }
    }
}
