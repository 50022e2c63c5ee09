import Driver
import Testing

@Suite("Values from text")
struct ValueTests {
    @Test("text becomes a value of the type", arguments: [
        ("true", ForeignType.bool, "true"), ("0", .bool, "false"),
        ("-128", .i8, "-128"), ("255", .u8, "255"), ("0xff", .u8, "255"), ("-0x80", .i8, "-128"), ("+7", .i16, "7"),
        ("65535", .u16, "65535"), ("-2147483648", .i32, "-2147483648"), ("4294967295", .u32, "4294967295"),
        ("-9223372036854775808", .i64, "-9223372036854775808"), ("18446744073709551615", .u64, "18446744073709551615"),
        ("-0", .u8, "0"), ("0.5", .f32, "0.5"), ("-1e-3", .f64, "-0.001"), ("inf", .f32, "inf"), ("-infinity", .f64, "-inf"), ("nan", .f64, "nan"),
        ("gr\u{FC}\u{DF} dich", .string, "gr\u{FC}\u{DF} dich"), ("", .string, ""), ("null", .pointer(to: nil), "null"), ("null", .callback, "null"),
        ("[1, 2.5,-3]", .pointer(to: .f32), "[1.0, 2.5, -3.0]"), ("[ ]", .pointer(to: .i8), "[]"),
    ])
    func parses(text: String, type: ForeignType, expected: String) throws {
        #expect(try ForeignValue.parse(text, as: type).description == expected)
    }

    @Test("text that is no value of the type is refused, naming what the type holds", arguments: [
        ("300", ForeignType.u8, "'300' does not fit u8, which holds 0 to 255"),
        ("-1", .u64, "'-1' does not fit u64"),
        ("128", .i8, "-128 to 127"),
        ("18446744073709551616", .u64, "does not fit u64"),
        ("1e40", .f32, "'1e40' does not fit f32"),
        ("1e400", .f64, "does not fit f64"),
        ("1.5", .i32, "not an integer"), ("", .i32, "not an integer"), ("-", .i32, "not an integer"), ("0x", .i32, "not an integer"),
        ("--1", .i32, "not an integer"), ("1_000", .i32, "not an integer"),
        ("yes", .bool, "write true or false"), ("half", .f64, "not a number"), ("1", .void, "no value"),
        ("a\0b", .string, "NUL"), ("1234", .pointer(to: nil), "cannot be an address"), ("1,2", .pointer(to: .f32), "write [1, 2, 3]"),
        ("[", .pointer(to: .f32), "write [1, 2, 3]"), ("[1,,2]", .pointer(to: .f32), "not a number"), ("[1,300]", .pointer(to: .u8), "does not fit u8"),
        ("f", .callback, "only pass null"),
    ])
    func refused(text: String, type: ForeignType, words: String) {
        let error = #expect(throws: ForeignError.self) { try ForeignValue.parse(text, as: type) }
        #expect(error?.kind == .value)
        #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    }

    @Test("a buffer refuses elements of another type and sizes past memory")
    func buffers() throws {
        #expect(throws: ForeignError.self) { try ForeignBuffer(.f32, [.f64(1)]) }
        #expect(throws: ForeignError.self) { try ForeignBuffer(.u64, count: .max) }
        #expect(throws: ForeignError.self) { try ForeignBuffer(.u8, count: -1) }
        #expect(throws: ForeignError.self) { try ForeignBuffer(.string, count: 1) }
        #expect(try ForeignBuffer(.i16, count: 3).description == "[0, 0, 0]")
    }
}
