import BuildKit
import Driver
import Synchronization
import Testing

@Suite("Closures")
struct ClosureTests {
    @Test("qsort sorts with a comparison written in Swift")
    func sorts() throws {
        let sort = try ForeignFunction(
            try ForeignSignature("void qsort(ptr base, u64 count, u64 size, callback compare)"), in: try ForeignLibrary.process())
        let buffer = try ForeignBuffer(.i32, [5, -3, 12, 0, -3, 7].map { .i32($0) })
        let compare = try ForeignClosure("i32 compare(i32* a, i32* b)") { arguments in
            guard case .pointer(let a?) = arguments[0], case .pointer(let b?) = arguments[1] else { throw ToolError("null") }
            let (left, right) = (a.load(as: Int32.self), b.load(as: Int32.self))
            return .i32(left < right ? -1 : left > right ? 1 : 0)
        }
        _ = try sort.call([.buffer(buffer), .u64(6), .u64(4), .callback(compare)])
        #expect(buffer.description == "[-3, -3, 0, 5, 7, 12]")
        #expect(compare.takeFailure() == nil)
    }

    @Test("a callback is kept alive by the call that uses it alone")
    func lifetime() throws {
        let sort = try ForeignFunction(
            try ForeignSignature("void qsort(ptr, u64, u64, callback)"), in: try ForeignLibrary.process())
        let calls = Counter()
        let buffer = try ForeignBuffer(.u8, [3, 1, 2].map { .u8($0) })
        _ = try sort.call([
            .buffer(buffer), .u64(3), .u64(1),
            .callback(try ForeignClosure("i32 (u8*, u8*)") { arguments in
                calls.add()
                guard case .pointer(let a?) = arguments[0], case .pointer(let b?) = arguments[1] else { throw ToolError("null") }
                return .i32(Int32(a.load(as: UInt8.self)) - Int32(b.load(as: UInt8.self)))
            }),
        ])
        #expect(buffer.description == "[1, 2, 3]")
        #expect(calls.value >= 2)
    }

    @Test("a closure called through its own pointer takes and gives every type")
    func everyType() throws {
        let arguments: [ForeignValue] = [
            .bool(true), .i8(-8), .u8(200), .i16(-16000), .u16(60000), .i32(-32), .u32(.max), .i64(.min), .u64(.max), .f32(-0.5), .f64(1e300), .pointer(nil),
            .string("text"),
        ]
        let types = "bool, i8, u8, i16, u16, i32, u32, i64, u64, f32, f64, ptr, str"
        for (index, type) in types.split(separator: ", ").dropLast().enumerated() {
            let signature = try ForeignSignature("\(type) (\(types))")
            let closure = try ForeignClosure(signature) { $0[index] }
            let function = try ForeignFunction(signature, at: closure.pointer)
            #expect(try function.call(arguments).description == arguments[index].description)
            #expect(closure.takeFailure() == nil)
        }
        let reader = try ForeignClosure("u64 (str)") { .u64(UInt64($0[0].description.utf8.count)) }
        let function = try ForeignFunction(reader.signature, at: reader.pointer)
        #expect(try function.call([.string("gr\u{FC}\u{DF}")]).description == "6")
    }

    @Test("a failing callback gives C zero and keeps the first error")
    func fails() throws {
        let closure = try ForeignClosure("i32 f()") { _ in throw ToolError("out of paper") }
        let function = try ForeignFunction(closure.signature, at: closure.pointer)
        #expect(try function.call().description == "0")
        let failure = closure.takeFailure()
        #expect(failure?.kind == .callback)
        #expect(failure?.description == "callback 'i32 f()' failed: out of paper")
        #expect(closure.takeFailure() == nil)
    }

    @Test("a callback that returns another type gives C zero and says so")
    func wrongResult() throws {
        let closure = try ForeignClosure("i32 f()") { _ in .i64(3) }
        #expect(try ForeignFunction(closure.signature, at: closure.pointer).call().description == "0")
        #expect(closure.takeFailure()?.description == "callback 'i32 f()' returns i32 and gave i64")
        #expect(throws: ForeignError.self) { try ForeignClosure("str f()") { _ in .string("gone") } }
    }

    @Test("one function is called from many threads at once")
    func threads() async throws {
        let calls = Counter()
        let closure = try ForeignClosure("u64 (u64)") { arguments in
            calls.add()
            return arguments[0]
        }
        let function = try ForeignFunction(closure.signature, at: closure.pointer)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<8 {
                group.addTask {
                    for index in 0..<200 {
                        let number = UInt64(task * 1000 + index)
                        let answer = try function.call([.u64(number)])
                        #expect(answer.description == "\(number)")
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(calls.value == 1600)
    }
}

/// A count that any thread may raise.
final class Counter: Sendable {
    private let count = Mutex(0)
    func add() { count.withLock { $0 += 1 } }
    var value: Int { count.withLock { $0 } }
}
