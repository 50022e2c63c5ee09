import CDriver
import DriverKit
import Synchronization
import Testing

@Suite("Devices, handles, programs and batches")
struct DeviceTests {
    @Test("null, stale and foreign handles are refused")
    func handles() {
        let toy = Toy()
        #expect(Answer { toy.table.health(nil, $0) }.has(3, "null"))
        let buffer = toy.buffer(64)
        let timeline = toy.timeline()
        var byte: UInt8 = 0
        #expect(Answer { toy.buffers.read(toy.device, timeline, 0, &byte, 1, $0) }.has(3, "buffer handle"))
        toy.buffers.release(toy.device, timeline)
        #expect(Answer { toy.timelines.signal(toy.device, timeline, 1, $0) }.code == 0)
        toy.buffers.release(toy.device, buffer)
        #expect(Answer { toy.buffers.read(toy.device, buffer, 0, &byte, 1, $0) }.has(3, "not a live one"))
        toy.buffers.release(toy.device, buffer)
        toy.buffers.release(toy.device, nil)
    }

    @Test("close frees what was left, once")
    func close() {
        let toy = Toy()
        let buffer = toy.buffer(64)
        let device = toy.device
        toy.table.close(device)
        toy.device = nil
        var byte: UInt8 = 0
        #expect(Answer { toy.buffers.read(device, buffer, 0, &byte, 1, $0) }.code == BATON_INVALID_ARGUMENT)
        toy.table.close(device)
        toy.table.close(nil)
    }

    @Test("buffers check ranges and memory is counted")
    func ranges() {
        let toy = Toy()
        let buffer = toy.buffer(64)
        var bytes: [UInt8] = [1, 2, 3, 4]
        #expect(Answer { toy.buffers.write(toy.device, buffer, 60, &bytes, 4, $0) }.code == 0)
        #expect(Answer { toy.buffers.write(toy.device, buffer, 61, &bytes, 4, $0) }.has(11, "pass the end"))
        #expect(Answer { toy.buffers.write(toy.device, buffer, .max, &bytes, 4, $0) }.code == BATON_OUT_OF_RANGE)
        var out: OpaquePointer?
        #expect(Answer { toy.buffers.allocate(toy.device, 0, &out, $0) }.code == BATON_INVALID_ARGUMENT)
        #expect(Answer { toy.buffers.allocate(toy.device, 2_000_000, &out, $0) }.has(8, "needs 2000000 bytes, 1048512 free of 1048576"))
        var pointer: UnsafeMutableRawPointer?
        #expect(Answer { toy.buffers.map(toy.device, buffer, 3, &pointer, $0) }.code == BATON_UNIMPLEMENTED)
    }

    @Test("a batch runs, signals its layers and its end")
    func run() {
        let toy = Toy()
        let (end, layers) = (toy.timeline(), toy.timeline())
        let (answer, program) = TinyProgram(weights: toy.buffer(256)).compile(toy)
        #expect(answer.code == 0, "\(answer.words)")
        var batch = TinyBatch()
        batch.pool = toy.pool()
        batch.output = toy.buffer(64)
        batch.signals = [baton_point(timeline: end, value: 7)]
        batch.layers = layers
        let submitted = batch.submit(toy, program)
        #expect(submitted.code == 0, "\(submitted.words)")
        #expect(toy.wait(end, 7).code == 0)
        #expect(toy.wait(layers, 2, timeout: 0).code == 0)
        #expect(batch.submit(toy, program, sync: false).code == 0)
        batch.tokens = [9, 9, 9]
        #expect(batch.submit(toy, program, sync: false).has(15, "cursed"))
    }

    @Test("a batch with anything outside its range is refused")
    func batches() {
        let toy = Toy()
        let program = TinyProgram(weights: toy.buffer(256)).compile(toy).program
        var good = TinyBatch()
        good.pool = toy.pool()
        good.output = toy.buffer(64)
        func check(_ code: Int, _ words: String, _ spoil: (inout TinyBatch) -> Void) {
            var batch = good
            spoil(&batch)
            let answer = batch.submit(toy, program)
            #expect(answer.has(code, words), "\(answer)")
        }
        check(3, "token 16 is not in") { $0.tokens[1] = 16 }
        check(3, "follow each other") { $0.positions[1] = 5 }
        check(3, "not contiguous") { $0.sequences = [0, 1, 0]; $0.positions = [0, 0, 1] }
        check(3, "is of sequence 2") { $0.sequences[2] = 2 }
        check(3, "row 3 is wanted") { $0.rows[0] = 3 }
        check(3, "uses block 4") { $0.tables[2] = 4 }
        check(3, "block table has 2") { $0.positions[2] = 8 }
        check(11, "a context of 16") { $0.positions[2] = 16 }
        check(11, "up to 8 in 2") { $0.sequenceCount = 3 }
        check(3, "no KV pool") { batch in batch.pool = nil }
        check(3, "buffer handle") { $0.output = nil }
        check(3, "of a buffer of 4") { $0.output = toy.buffer(4) }
        check(3, "at least 1") { $0.tokens = [] }
    }

    @Test("a program that breaks a rule is refused with the tensor or operation's name")
    func programs() {
        let toy = Toy()
        let weights = toy.buffer(256)
        func check(_ code: Int, _ words: String, _ spoil: (inout TinyProgram) -> Void) {
            var program = TinyProgram(weights: weights)
            spoil(&program)
            let answer = program.compile(toy).answer
            #expect(answer.has(code, words), "\(answer)")
        }
        check(3, "without a buffer") { $0.tensors[0].buffer = nil }
        check(3, "takes 256 bytes from 4") { $0.tensors[0].offset = 4 }
        check(3, "not made yet") { $0.ops.swapAt(0, 1) }
        check(3, "input 77") { $0.ops[1].inputs.1 = 77 }
        check(3, "again") { $0.ops[2].output = 1 }
        check(3, "[T, heads * head_dim]") { $0.ops[1].heads = 2 }
        check(3, "gives [R, 4]") { $0.tensors[3].dims.0 = -1 }
        check(3, "unknown dtype 99") { $0.tensors[0].dtype = 99 }
        check(12, "unknown kind 50") { $0.ops[0].kind = 50 }
        check(3, "outside 0..<1") { $0.ops[1].layer = 1 }
        check(3, "rank 3") { $0.tensors[1].rank = 3 }
        check(3, "the dimension 0") { $0.tensors[0].dims.0 = 0 }
        check(3, "scale nan") { $0.ops[1].scale = .nan }
        check(3, "made by no operation") { $0.ops.removeLast() }
        check(3, "bytes and") { $0.tensors[0].size = 8 }
        check(3, "states 16 bytes") { $0.desc.size = 16 }
    }

    @Test("quiesce refuses later work and no callback runs after it")
    func quiesce() {
        let toy = Toy()
        let program = TinyProgram(weights: toy.buffer(256)).compile(toy).program
        let end = toy.timeline()
        let calls = Calls()
        let user = Unmanaged.passUnretained(calls).toOpaque()
        for value in [UInt64(1), 2] {
            #expect(Answer { toy.timelines.notify(toy.device, end, value, Calls.count, user, $0) }.code == 0)
        }
        var batch = TinyBatch()
        batch.tokens = [8, 8, 8]
        batch.pool = toy.pool()
        batch.output = toy.buffer(64)
        batch.signals = [baton_point(timeline: end, value: 1)]
        #expect(batch.submit(toy, program).code == 0)
        #expect(Answer { toy.table.quiesce(toy.device, 5_000_000_000, $0) }.code == 0)
        #expect(calls.now == 1)
        #expect(batch.submit(toy, program).code == BATON_FAILED_PRECONDITION)
        #expect(Answer { toy.timelines.signal(toy.device, end, 2, $0) }.code == 0)
        #expect(calls.now == 1)
    }

    private final class Calls: Sendable {
        let value = Atomic<Int>(0)
        var now: Int { value.load(ordering: .relaxed) }
        static let count: baton_callback = { user, _ in
            Unmanaged<Calls>.fromOpaque(user!).takeUnretainedValue().value.add(1, ordering: .relaxed)
        }
    }
}
