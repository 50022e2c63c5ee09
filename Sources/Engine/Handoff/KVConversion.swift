import Driver

/// Turns KV in one layout into another, in host memory. Pure: bytes in, bytes out.
///
/// Both ranges hold the same tokens of the same layers, whole blocks on each side; positions past `tokens` come out as zero.
struct KVConversion {
    let from: KVLayout
    let to: KVLayout

    /// Strides in elements, and how many elements a range of `layers` and `blocks` has.
    private struct Shape {
        var layer = 0, block = 0, plane = 0, head = 0, token = 0, dim = 0
        var count = 1

        init(_ layout: KVLayout, layers: Int, blocks: Int) {
            for axis in layout.axes.reversed() {
                switch axis {
                case .layer: layer = count
                case .block: block = count
                case .plane: plane = count
                case .head: head = count
                case .token: token = count
                case .dim: dim = count
                }
                count *= layout.extent(axis, layers: layers, blocks: blocks)
            }
        }
    }

    /// - Parameters:
    ///   - source: `from.blocks(for: tokens)` blocks of `layers` layers.
    ///   - destination: room for `to.blocks(for: tokens)` blocks of as many layers.
    func run(_ source: UnsafeRawBufferPointer, to destination: UnsafeMutableRawBufferPointer, layers: Int, tokens: Int) {
        let old = Shape(from, layers: layers, blocks: from.blocks(for: tokens))
        let new = Shape(to, layers: layers, blocks: to.blocks(for: tokens))
        guard let input = source.baseAddress, let output = destination.baseAddress,
            source.count >= from.dtype.bytes(old.count), destination.count >= to.dtype.bytes(new.count)
        else { return }
        if tokens % to.blockTokens != 0 { destination.prefix(to.dtype.bytes(new.count)).initializeMemory(as: UInt8.self, repeating: 0) }
        for layer in 0..<layers {
            for plane in 0..<2 {
                for head in 0..<from.kvHeads {
                    let a = layer * old.layer + plane * old.plane + head * old.head
                    let b = layer * new.layer + plane * new.plane + head * new.head
                    rows(input, a, old, output, b, new, tokens)
                }
            }
        }
    }

    /// The rows of one head, in runs that stay within a block on both sides.
    private func rows(
        _ input: UnsafeRawPointer, _ a: Int, _ old: Shape, _ output: UnsafeMutableRawPointer, _ b: Int, _ new: Shape, _ tokens: Int
    ) {
        var token = 0
        while token < tokens {
            let run = min(tokens - token, from.blockTokens - token % from.blockTokens, to.blockTokens - token % to.blockTokens)
            let start = a + token / from.blockTokens * old.block + token % from.blockTokens * old.token
            let end = b + token / to.blockTokens * new.block + token % to.blockTokens * new.token
            Elements.move(
                input + from.dtype.bytes(start), from.dtype, (old.token, old.dim),
                output + to.dtype.bytes(end), to.dtype, (new.token, new.dim), rows: run, columns: from.headDim)
            token += run
        }
    }
}

/// Moves a rectangle of elements, changing strides and dtype.
enum Elements {
    /// Strides are (row, column) in elements.
    static func move(
        _ input: UnsafeRawPointer, _ from: DType, _ a: (Int, Int), _ output: UnsafeMutableRawPointer, _ to: DType, _ b: (Int, Int),
        rows: Int, columns: Int
    ) {
        if from == to, a.1 == 1, b.1 == 1 {
            let width = from.bytes(columns)
            for row in 0..<rows {
                (output + from.bytes(row * b.0)).copyMemory(from: input + from.bytes(row * a.0), byteCount: width)
            }
        } else {
            switch (from, to) {
            case (.f32, .f32): strided(input.as(UInt32.self), a, output.as(UInt32.self), b, rows, columns) { $0 }
            case (.f16, .f16), (.bf16, .bf16): strided(input.as(UInt16.self), a, output.as(UInt16.self), b, rows, columns) { $0 }
            case (.f32, .f16): strided(input.as(Float.self), a, output.as(UInt16.self), b, rows, columns, FloatBits.f16)
            case (.f32, .bf16): strided(input.as(Float.self), a, output.as(UInt16.self), b, rows, columns, FloatBits.bf16)
            case (.bf16, .f32): strided(input.as(UInt16.self), a, output.as(Float.self), b, rows, columns, FloatBits.fromBF16)
            case (.f16, .f32): strided(input.as(UInt16.self), a, output.as(Float.self), b, rows, columns, FloatBits.fromF16)
            case (.bf16, .f16):
                strided(input.as(UInt16.self), a, output.as(UInt16.self), b, rows, columns) { FloatBits.f16(FloatBits.fromBF16($0)) }
            case (.f16, .bf16):
                strided(input.as(UInt16.self), a, output.as(UInt16.self), b, rows, columns) { FloatBits.bf16(FloatBits.fromF16($0)) }
            default: break
            }
        }
    }

    @inline(__always)
    private static func strided<A, B>(
        _ input: UnsafePointer<A>, _ a: (Int, Int), _ output: UnsafeMutablePointer<B>, _ b: (Int, Int), _ rows: Int, _ columns: Int,
        _ convert: (A) -> B
    ) {
        for row in 0..<rows {
            let source = input + row &* a.0
            let target = output + row &* b.0
            for column in 0..<columns { target[column &* b.1] = convert(source[column &* a.1]) }
        }
    }
}

extension UnsafeRawPointer {
    @inline(__always) fileprivate func `as`<T>(_: T.Type) -> UnsafePointer<T> { assumingMemoryBound(to: T.self) }
}
extension UnsafeMutableRawPointer {
    @inline(__always) fileprivate func `as`<T>(_: T.Type) -> UnsafeMutablePointer<T> { assumingMemoryBound(to: T.self) }
}

/// Rounding between f32 and the 16-bit formats: to nearest, ties to even. Values past the largest f16 become the largest f16, since an
/// infinite key would undo a whole attention row; NaN stays NaN.
enum FloatBits {
    @inline(__always) static func fromBF16(_ bits: UInt16) -> Float { Float(bitPattern: UInt32(bits) << 16) }

    @inline(__always) static func bf16(_ value: Float) -> UInt16 {
        let bits = value.bitPattern
        if value.isNaN { return UInt16(truncatingIfNeeded: bits >> 16) | 0x40 }
        return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16)
    }

    /// Exact: the exponent is moved by multiplying, which also makes subnormals normal.
    @inline(__always) static func fromF16(_ bits: UInt16) -> Float {
        let sign = UInt32(bits & 0x8000) << 16
        let magnitude = UInt32(bits & 0x7FFF)
        if magnitude >= 0x7C00 { return Float(bitPattern: sign | 0x7F80_0000 | (magnitude & 0x3FF) << 13) }
        let value = Float(bitPattern: magnitude << 13) * Float(bitPattern: 0x7780_0000)
        return Float(bitPattern: value.bitPattern | sign)
    }

    /// To nearest even by adding a power of two that leaves ten bits of fraction.
    @inline(__always) static func f16(_ value: Float) -> UInt16 {
        let sign = UInt16(truncatingIfNeeded: value.bitPattern >> 16 & 0x8000)
        let magnitude = value.bitPattern & 0x7FFF_FFFF
        if magnitude > 0x7F80_0000 { return sign | 0x7E00 }
        if magnitude >= 0x477F_E000 { return sign | 0x7BFF }
        if magnitude < 0x3880_0000 {
            let shifted = Float(bitPattern: magnitude) + 0.5
            return sign | UInt16(truncatingIfNeeded: shifted.bitPattern &- 0x3F00_0000)
        }
        let rounded = magnitude &- 0x3800_0000 &+ 0xFFF &+ (magnitude >> 13 & 1)
        return sign | UInt16(truncatingIfNeeded: rounded >> 13)
    }
}
