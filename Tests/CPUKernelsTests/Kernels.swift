import CPUKernels
import Testing

/// The kernels of every instruction set that this machine has or that can be written out on it, seeded inputs, and plain definitions to
/// hold them against.
enum Kernels {
    static let sets: [Int32] = (0...3).filter { cpuk_for($0) != nil } + WrittenOut.sets

    struct Random {
        var state: UInt64
        mutating func next() -> Float {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Float(Int32(truncatingIfNeeded: state >> 33)) / Float(1 << 30)
        }
        mutating func row(_ count: Int) -> [Float] { (0..<count).map { _ in next() } }
        mutating func byte() -> UInt8 {
            _ = next()
            return UInt8(truncatingIfNeeded: state >> 40)
        }
    }

    static func table(_ isa: Int32) throws -> cpuk_table { try pointer(isa).pointee }

    static func pointer(_ isa: Int32) throws -> UnsafePointer<cpuk_table> {
        let writtenOut = try WrittenOut.table(isa)
        return try #require(cpuk_for(isa) ?? writtenOut)
    }

    /// Rows of random blocks of a type: any codes, sane scales.
    static func blocks(_ type: Int32, rows: Int, inputs: Int, _ random: inout Random) -> [UInt8] {
        let bytes = type == 16 ? 18 : type == 17 ? 20 : 34
        return (0..<rows * inputs / 32).flatMap { _ -> [UInt8] in
            var block = (0..<bytes).map { _ in random.byte() }
            (block[0], block[1]) = (block[0], 0x20 | block[1] & 0x83)
            if type == 17 { (block[2], block[3]) = (block[2], 0xA0 & block[3] | 0x20) }
            return block
        }
    }

    static func half(_ low: UInt8, _ high: UInt8) -> Double { Double(Float16(bitPattern: UInt16(low) | UInt16(high) << 8)) }

    /// A block's values as GGUF defines them.
    static func values(_ type: Int32, _ block: ArraySlice<UInt8>) -> [Double] {
        let b = Array(block)
        let scale = half(b[0], b[1])
        if type == 18 { return b[2...].map { scale * Double(Int8(bitPattern: $0)) } }
        let packed = b[(type == 16 ? 2 : 4)...]
        let codes: [Double] = packed.map { Double($0 & 15) } + packed.map { Double($0 >> 4) }
        if type == 16 { return codes.map { scale * ($0 - 8) } }
        let minimum = half(b[2], b[3])
        return codes.map { scale * $0 + minimum }
    }

    static func expand(_ type: Int32, _ bytes: [UInt8]) -> [Double] {
        let size = type == 16 ? 18 : type == 17 ? 20 : 34
        return stride(from: 0, to: bytes.count, by: size).flatMap { values(type, bytes[$0..<$0 + size]) }
    }

    /// e^x in double, without the C library.
    static func exponential(_ x: Double) -> Double {
        var (sum, term, r) = (1.0, 1.0, x)
        var halvings = 0
        while abs(r) > 0.5 {
            r /= 2
            halvings += 1
        }
        for n in 1..<25 {
            term *= r / Double(n)
            sum += term
        }
        for _ in 0..<halvings { sum *= sum }
        return sum
    }
}
