import CDriver
import DriverKit
import Glibc
import Synchronization
import Testing

@Suite("Moving KV")
struct KVTests {
    private let pool = try! KVPoolDescription(
        dtype: .f32, blockCount: 5, blockTokens: 4, firstLayer: 2, layers: 3, kvHeads: 2, headDim: 4, ropeStyle: .splitHalf)

    /// A whole number below 2048, exact in f16, different for most places.
    private func value(_ layer: Int, _ block: Int, _ plane: Int, _ head: Int, _ token: Int, _ dim: Int) -> Float {
        Float(((((layer * 5 + block) * 2 + plane) * 2 + head) * 4 + token) * 4 + dim)
    }

    private func fill(_ layout: KVLayout) throws -> [Float] {
        let s = try layout.strides(layers: 3, blocks: 5)
        var all = [Float](repeating: -1, count: s.count)
        for l in 0..<3 { for b in 0..<5 { for p in 0..<2 { for h in 0..<2 { for t in 0..<4 { for d in 0..<4 {
            all[l * s.layer + b * s.block + p * s.plane + h * s.head + t * s.token + d * s.dim] = value(l, b, p, h, t, d)
        } } } } } }
        return all
    }

    @Test(
        "KV goes out in any order of axes and comes back whole",
        arguments: [[1, 2, 3, 5, 4, 6], [2, 1, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1], [3, 1, 4, 2, 6, 5]], [DType.f32, .f16])
    func roundTrip(axes: [UInt8], dtype: DType) throws {
        let storageLayout = try KVLayout(for: pool)
        let layout = try KVLayout(for: pool, dtype: dtype, axes: axes.map { KVLayout.Axis(rawValue: $0)! })
        let range = try KVRange(firstLayer: 3, layerCount: 2, blocks: [4, 1], tokenCount: 6, in: pool)
        var storage = try fill(storageLayout)
        var bytes = [UInt8](repeating: 0xFF, count: try layout.bytes(layers: 2, blocks: 2))
        var back = [Float](repeating: -1, count: storage.count)
        try storage.withUnsafeMutableBytes { storage in
            try bytes.withUnsafeMutableBytes { bytes in
                try KVTransfer(.export, range, of: pool, storage: storage.baseAddress!, storageLayout, array: bytes.baseAddress!, layout).run()
                try back.withUnsafeMutableBytes { back in
                    try KVTransfer(.import, range, of: pool, storage: back.baseAddress!, storageLayout, array: bytes.baseAddress!, layout).run()
                }
            }
        }
        let s = try layout.strides(layers: 2, blocks: 2)
        for l in 0..<2 { for b in 0..<2 { for p in 0..<2 { for h in 0..<2 { for t in 0..<4 { for d in 0..<4 {
            let at = l * s.layer + b * s.block + p * s.plane + h * s.head + t * s.token + d * s.dim
            let got = dtype == .f32
                ? bytes.withUnsafeBytes { $0.load(fromByteOffset: at * 4, as: Float.self) }
                : bytes.withUnsafeBytes { Float($0.load(fromByteOffset: at * 2, as: Float16.self)) }
            #expect(got == (b * 4 + t < 6 ? value(l + 1, [4, 1][b], p, h, t, d) : 0))
        } } } } } }
        let home = try storageLayout.strides(layers: 3, blocks: 5)
        for (index, value) in back.enumerated() {
            let (layer, block, token) = (index / home.layer, index % home.layer / home.block, index % home.plane / home.token)
            let moved = layer >= 1 && (block == 4 || (block == 1 && token < 2))
            #expect(value == (moved ? storage[index] : -1))
        }
    }

    @Test("a driver's own copy moves what is contiguous and of one dtype, and nothing else", arguments: [DType.f32, .f16])
    func ownCopy(dtype: DType) throws {
        let storageLayout = try KVLayout(for: pool), layout = try KVLayout(for: pool, dtype: dtype)
        let range = try KVRange(firstLayer: 2, layerCount: 3, blocks: [0, 1, 2, 3, 4], tokenCount: 20, in: pool)
        let copied = Mutex(0)
        let copy: KVTransfer.Copy = { to, from, count in
            to.copyMemory(from: from, byteCount: count)
            copied.withLock { $0 += count }
        }
        var storage = try fill(storageLayout)
        var bytes = [UInt8](repeating: 0xFF, count: try layout.bytes(layers: 3, blocks: 5))
        var back = [Float](repeating: -1, count: storage.count)
        try storage.withUnsafeMutableBytes { storage in
            try bytes.withUnsafeMutableBytes { bytes in
                try KVTransfer(.export, range, of: pool, storage: storage.baseAddress!, storageLayout, array: bytes.baseAddress!, layout, copy: copy).run()
                try back.withUnsafeMutableBytes { back in
                    try KVTransfer(.import, range, of: pool, storage: back.baseAddress!, storageLayout, array: bytes.baseAddress!, layout, copy: copy).run()
                }
            }
        }
        #expect(back == storage)
        #expect(copied.withLock { $0 } == (dtype == .f32 ? 2 * bytes.count : 0))
    }

    @Test("bf16 rounds to nearest, ties to even, and keeps NaN")
    func narrow() {
        #expect(FloatRow.narrow(1) == 0x3F80)
        #expect(FloatRow.narrow(Float(bitPattern: 0x3F80_8000)) == 0x3F80)
        #expect(FloatRow.narrow(Float(bitPattern: 0x3F81_8000)) == 0x3F82)
        #expect(FloatRow.narrow(Float(bitPattern: 0x3F80_8001)) == 0x3F81)
        #expect(FloatRow.widen(FloatRow.narrow(.nan)).isNaN)
        #expect(FloatRow.narrow(.greatestFiniteMagnitude) == 0x7F80)
    }

    @Test("ranges outside the pool, scales and other turns of K are refused")
    func refused() throws {
        #expect(throws: DriverFailure.self) { try KVRange(firstLayer: 1, layerCount: 1, blocks: [0], tokenCount: 1, in: pool) }
        #expect(throws: DriverFailure.self) { try KVRange(firstLayer: 4, layerCount: 2, blocks: [0], tokenCount: 1, in: pool) }
        #expect(throws: DriverFailure.self) { try KVRange(firstLayer: 2, layerCount: 1, blocks: [5], tokenCount: 1, in: pool) }
        #expect(throws: DriverFailure.self) { try KVRange(firstLayer: 2, layerCount: 1, blocks: [0], tokenCount: 5, in: pool) }
        #expect(throws: DriverFailure.self) { try KVLayout(for: pool, axes: [.layer, .block, .plane, .head, .token, .token]) }
        #expect(throws: DriverFailure.self) {
            try KVPoolDescription(dtype: .f32, blockCount: .max, blockTokens: 4, firstLayer: 0, layers: 3, kvHeads: 2, headDim: 4, ropeStyle: .splitHalf)
        }
    }

    @Test("an export through the table fits its memory or is refused")
    func table() throws {
        let toy = Toy()
        let handle = toy.pool()
        var layouts = [baton_kv_layout](repeating: baton_kv_layout(), count: 1)
        var count: UInt32 = 0
        var desc = Toy.poolDescription()
        #expect(Answer { toy.kv.pointee.layouts(nil, &desc, 0, &layouts, 1, &count, $0) }.code == 0)
        #expect(count == 2 && layouts[0].dtype == BATON_F16)
        var room = [UInt8](repeating: 0xFF, count: 128)
        let blocks: [UInt32] = [0, 3]
        room.withUnsafeMutableBytes { room in
            blocks.withUnsafeBufferPointer { blocks in
                var range = baton_kv_range()
                range.size = UInt32(MemoryLayout<baton_kv_range>.size)
                range.layer_count = 1
                range.block_count = 2
                range.blocks = blocks.baseAddress
                range.token_count = 8
                var memory = Memory.host(room.baseAddress!, length: 128).contract
                #expect(Answer { toy.kv.pointee.export_range(toy.device, handle, &range, &layouts[0], &memory, nil, $0) }.code == 0)
                memory.length = 127
                #expect(Answer { toy.kv.pointee.export_range(toy.device, handle, &range, &layouts[0], &memory, nil, $0) }.has(11, "takes 128 bytes"))
            }
        }
        #expect(room.allSatisfy { $0 == 0 })
    }

    @Test("a memfd is mapped at any offset and a range past its end is refused")
    func memfd() throws {
        var path = Array("/tmp/baton-kv-XXXXXX".utf8CString)
        let descriptor = mkstemp(&path)
        unlink(path)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        #expect(ftruncate(descriptor, 10_000) == 0)
        do {
            let memory = try HostMemory(Memory(.memfd, descriptor: descriptor, offset: 5_001, length: 10), access: [.read, .write])
            memory.bytes[9] = 42
        }
        var byte: UInt8 = 0
        #expect(pread(descriptor, &byte, 1, 5_010) == 1 && byte == 42)
        #expect(throws: DriverFailure.self) { try HostMemory(Memory(.memfd, descriptor: descriptor, offset: 9_999, length: 2), access: .read) }
    }
}
