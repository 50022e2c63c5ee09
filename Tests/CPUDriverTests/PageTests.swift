import CDriver
import Glibc
import Testing

@testable import Driver

/// When the pages of a pool are made.
@Suite("The cpu driver's pages", .enabled(if: Rig.isBuilt, "no cpu driver"))
struct PageTests {
    /// A pool of 64 MB on a device of its own, with a program for so many sequences.
    private struct Served: ~Copyable {
        let device: Device
        let pool: KVPool
        let program: Program

        static func open(sequences: Int, poolFirst: Bool) throws -> Served {
            let device = try Rig.open()
            var description = Rig.pool(.f32)
            description.blockCount = (64 << 20) / (2 * TinyModel.layers * TinyModel.kvHeads * Rig.blockTokens * TinyModel.headDim * 4)
            let builder = TinyModel.program(maxSequences: sequences)
            let weights = try Rig.weights(builder, device)
            if poolFirst {
                let pool = try KVPool(creating: description, on: device)
                return Served(device: device, pool: pool, program: try Program(compiling: builder, weights: weights, on: device))
            }
            let program = try Program(compiling: builder, weights: weights, on: device)
            return Served(device: device, pool: try KVPool(creating: description, on: device), program: program)
        }

        /// How many of the storage's pages are there.
        borrowing func pages() throws -> (made: Int, all: Int) {
            let kv = try #require(device.library.kv)
            let share = try #require(kv.share)
            var memory = baton_memory.sized()
            var layout = baton_kv_layout.sized()
            #expect(share(device.handle, pool.handle, baton_memory_kind(BATON_MEMORY_HOST), &memory, &layout, nil) == BATON_OK)
            let page = Int(sysconf(Int32(_SC_PAGESIZE)))
            let start = (Int(memory.address) + page - 1) / page * page, end = (Int(memory.address) + Int(memory.length)) / page * page
            var flags = [UInt8](repeating: 0, count: (end - start) / page)
            try #require(mincore(UnsafeMutableRawPointer(bitPattern: start), end - start, &flags) == 0)
            return (flags.count { $0 & 1 == 1 }, flags.count)
        }
    }

    @Test("a pool beside a program for several sequences is filled with pages while nothing runs, and one for a single sequence is not", arguments: [true, false])
    func made(poolFirst: Bool) throws {
        let one = try Served.open(sequences: 1, poolFirst: poolFirst), several = try Served.open(sequences: 4, poolFirst: poolFirst)
        var found = try several.pages()
        for _ in 0..<4_000 where found.made < found.all {
            usleep(5_000)
            found = try several.pages()
        }
        #expect(found.made == found.all && found.all > 16_000)
        #expect(try one.pages().made < 1_000)
    }
}
