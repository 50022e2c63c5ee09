import BuildKit
import Driver
import Testing

/// Every scalar type out and back through functions that a C compiler made.
@Suite("Widths", .enabled(if: Tool.cc != nil, "no C compiler on PATH: the functions of widths.c cannot be built"))
struct WidthTests {
    let folder: TemporaryFolder
    let library: ForeignLibrary

    init() throws {
        folder = try TemporaryFolder()
        library = try ForeignLibrary.open(try SharedLibrary.build("Tests/Fixtures/foreign/widths.c", in: folder))
    }

    func call(_ signature: String, _ arguments: ForeignValue...) throws -> String {
        try ForeignFunction(try ForeignSignature(signature), in: library).call(arguments).description
    }

    @Test("narrow results come back at their own width and sign")
    func narrow() throws {
        #expect(try call("bool not_bool(bool)", .bool(false)) == "true")
        #expect(try call("bool not_bool(bool)", .bool(true)) == "false")
        #expect(try call("i8 next_i8(i8)", .i8(-5)) == "-4")
        #expect(try call("i8 next_i8(i8)", .i8(127)) == "-128")
        #expect(try call("u8 next_u8(u8)", .u8(254)) == "255")
        #expect(try call("u8 next_u8(u8)", .u8(255)) == "0")
        #expect(try call("i16 next_i16(i16)", .i16(-1000)) == "-999")
        #expect(try call("u16 next_u16(u16)", .u16(65534)) == "65535")
        #expect(try call("i32 next_i32(i32)", .i32(.max)) == "\(Int32.min)")
        #expect(try call("u32 next_u32(u32)", .u32(.max - 1)) == "\(UInt32.max)")
        #expect(try call("i64 next_i64(i64)", .i64(.min)) == "\(Int64.min + 1)")
        #expect(try call("u64 next_u64(u64)", .u64(.max - 1)) == "\(UInt64.max)")
        #expect(try call("f32 half_f32(f32)", .f32(-3)) == "-1.5")
        #expect(try call("f64 half_f64(f64)", .f64(5)) == "2.5")
    }

    @Test("arguments of mixed widths reach their parameters, past the registers too")
    func mixed() throws {
        let signature = """
            f64 mix(i8 a, f64 b, u16 c, f32 d, i32 e, f64 f, u64 g, f32 h, bool i, f64 j, i64 k, f64 l, u8 m, f64 n, i16 o, f64 p,
            u32 q, f64 r, f32 s, f64 t)
            """
        let got = try call(
            signature, .i8(-1), .f64(2), .u16(3), .f32(4), .i32(-5), .f64(6), .u64(7), .f32(8), .bool(true), .f64(10), .i64(-11), .f64(12), .u8(13),
            .f64(14), .i16(-15), .f64(16), .u32(17), .f64(18), .f32(19), .f64(20))
        let terms = [-1, 4, 9, 16, -25, 36, 49, 64, 9, 100, -121, 144, 169, 196, -225, 256, 289, 324, 361, 400]
        #expect(got == "\(Double(terms.reduce(0, +)))")
    }

    @Test("void functions, pointers, strings and buffers pass through")
    func addresses() throws {
        #expect(try call("void touch(i32)", .i32(42)) == "")
        #expect(try call("i32 last_touched(void)") == "42")
        #expect(try call("ptr same(ptr)", .pointer(nil)) == "null")
        #expect(try call("str greeting(bool)", .bool(true)) == "gr\u{FC}\u{DF} dich")
        #expect(try call("str greeting(bool)", .bool(false)) == "null")
        #expect(try call("u64 bytes(str)", .string("\u{1F3C3}")) == "4")
        #expect(try call("u64 bytes(i8*)", .string("abc")) == "3")
        let buffer = try ForeignBuffer([1, 2, 3])
        _ = try call("void scale(f32*, u64, f32)", .buffer(buffer), .u64(3), .f32(0.5))
        #expect(buffer.description == "[0.5, 1.0, 1.5]")
        #expect(throws: ForeignError.self) { try call("void scale(f64*, u64, f32)", .buffer(buffer), .u64(3), .f32(0.5)) }
    }

    @Test("callbacks take and return narrow types with their sign")
    func callbacks() throws {
        let down = try ForeignClosure("i8 (i8)") { .i8(try $0.i8() - 100) }
        #expect(try call("i64 twice_i8(callback, i8)", .callback(down), .i8(100)) == "-100")
        let up = try ForeignClosure("u8 (u8)") { .u8(try $0.u8() &+ 200) }
        #expect(try call("u64 twice_u8(callback, u8)", .callback(up), .u8(100)) == "\((100 + 400) & 255)")
        let low = try ForeignClosure("i16 (i16)") { _ in .i16(-32768) }
        #expect(try call("i64 twice_i16(callback, i16)", .callback(low), .i16(1)) == "-32768")
        let half = try ForeignClosure("f32 (f32)") { .f32(try $0.f32() / 2) }
        #expect(try call("f64 twice_f32(callback, f32)", .callback(half), .f32(10)) == "2.5")
    }

    @Test("a prepared call runs on its own buffer, as a foreign stage does per token")
    func stage() throws {
        let path = try SharedLibrary.build("Examples/foreign/logits_mask.c", in: folder)
        let function = try ForeignFunction("i32 mask_digits(f32* logits, u64 count, i32* history, u64 history_count)", library: path)
        var logits = [Float](repeating: 1, count: 64)
        var call = function.prepare()
        try call.set(UInt64(logits.count), at: 1)
        for _ in 0..<3 {
            let masked = try logits.withUnsafeMutableBytes { bytes throws(ForeignError) in
                try call.set(address: bytes.baseAddress, at: 0)
                return try call.run(as: Int32.self)
            }
            #expect(masked == 10)
        }
        #expect(logits.indices.filter { logits[$0] == -.infinity } == Array(32...41))
    }
}

extension [ForeignValue] {
    func i8() throws -> Int8 { if case .i8(let value)? = first { return value } else { throw ToolError("not i8: \(self)") } }
    func u8() throws -> UInt8 { if case .u8(let value)? = first { return value } else { throw ToolError("not u8: \(self)") } }
    func f32() throws -> Float { if case .f32(let value)? = first { return value } else { throw ToolError("not f32: \(self)") } }
}
