/// A 64-bit checksum of a piece of KV: four lanes of multiply and rotate over 32-byte stripes, then the lanes and the tail folded in.
/// It finds damage; it is no defence against forgery.
enum Checksum {
    private static let prime: UInt64 = 0x9E37_79B1_85EB_CA87
    private static let second: UInt64 = 0xC2B2_AE3D_27D4_EB4F

    static func of(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        guard let base = bytes.baseAddress else { return prime }
        var lanes = SIMD4<UInt64>(1, 2, 3, 4) &* SIMD4(repeating: prime)
        var offset = 0
        while offset &+ 32 <= bytes.count {
            let stripe = base.loadUnaligned(fromByteOffset: offset, as: SIMD4<UInt64>.self)
            lanes = lanes &+ stripe &* SIMD4(repeating: second)
            lanes = (lanes &<< 31 | lanes &>> 33) &* SIMD4(repeating: prime)
            offset &+= 32
        }
        var sum = UInt64(bytes.count)
        for lane in 0..<4 { sum = mix(sum ^ lanes[lane]) }
        while offset < bytes.count {
            sum = mix(sum ^ UInt64(base.load(fromByteOffset: offset, as: UInt8.self)))
            offset &+= 1
        }
        return sum
    }

    @inline(__always) private static func mix(_ value: UInt64) -> UInt64 {
        let turned = (value ^ value &>> 29) &* second
        return (turned ^ turned &>> 32) &* prime
    }
}
