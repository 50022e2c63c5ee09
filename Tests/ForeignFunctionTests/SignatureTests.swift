import Driver
import Testing

@Suite("Signatures")
struct SignatureTests {
    @Test("a signature's plainest form reads back as itself", arguments: [
        ("f64 cos(f64)", "f64 cos(f64)"),
        ("  i32  mask ( f32 * logits , u64 count,i32* history, u64 history_count ) ",
         "i32 mask(f32* logits, u64 count, i32* history, u64 history_count)"),
        ("ptr f(callback)", "ptr f(callback)"),
        ("void tick()", "void tick()"),
        ("void tick(void)", "void tick()"),
        ("const i8* name(const str text)", "i8* name(str text)"),
        ("void* f(void *x, u8** y)", "ptr f(ptr x, u8** y)"),
        ("i32 (ptr, ptr)", "i32 (ptr, ptr)"),
        ("bool a_1(bool,i8,u8,i16,u16,i32,u32,i64,u64,f32,f64,str,ptr,callback)",
         "bool a_1(bool, i8, u8, i16, u16, i32, u32, i64, u64, f32, f64, str, ptr, callback)"),
    ])
    func readsBack(text: String, plain: String) throws {
        let signature = try ForeignSignature(text)
        #expect(signature.description == plain)
        #expect(try ForeignSignature(plain) == signature)
    }

    @Test("parameters keep their types and names")
    func parameters() throws {
        let signature = try ForeignSignature("i32 mask(f32* logits, u64)")
        #expect(signature.name == "mask")
        #expect(signature.result == .i32)
        #expect(signature.parameters.map(\.type) == [.pointer(to: .f32), .u64])
        #expect(signature.parameters.map(\.name) == ["logits", nil])
    }

    @Test("a signature that cannot be read is refused with its column and a remedy", arguments: [
        ("", 1, "ends where the type of the result"),
        ("int f()", 1, "write 'i32'"),
        ("f64 cos(double x)", 9, "write 'f64'"),
        ("f64 cos(f46)", 9, "unknown type 'f46'"),
        ("f64 cos f64)", 9, "expected '('"),
        ("f64 cos(f64", 12, "found the end"),
        ("f64 cos(f64 x y)", 15, "found 'y'"),
        ("f64 cos(f64,)", 13, "the type of a parameter"),
        ("f64 cos(f64) x", 14, "end it at ')'"),
        ("void f(void x)", 8, "cannot be void"),
        ("void f(struct x)", 8, "by value"),
        ("i32 printf(str, ...)", 17, "variable number"),
        ("f64 2cos(f64)", 5, "expected '('"),
        ("i32 f(i32 \u{E9})", 11, "expected ')'"),
    ])
    func refused(text: String, column: Int, words: String) {
        let error = #expect(throws: ForeignError.self) { try ForeignSignature(text) }
        #expect(error?.kind == .signature)
        #expect(error?.column == column)
        #expect(error?.description.contains("column \(column)") == true)
        #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    }

    @Test("a hostile signature is refused without growing")
    func hostile() {
        #expect(throws: ForeignError.self) { try ForeignSignature(String(repeating: "*", count: 1 << 20)) }
        #expect(throws: ForeignError.self) { try ForeignSignature("i32" + String(repeating: "*", count: 9) + " f()") }
        let many = Array(repeating: "i8", count: 65).joined(separator: ",")
        #expect(throws: ForeignError.self) { try ForeignSignature("void f(\(many))") }
        let most = Array(repeating: "i8", count: 64).joined(separator: ",")
        #expect(throws: Never.self) { try ForeignSignature("void f(\(most))") }
        let error = #expect(throws: ForeignError.self) { try ForeignSignature("a\nb\u{1B}[31m") }
        #expect(error?.description.contains("\n") == false)
        #expect(error?.description.contains("\u{1B}") == false)
    }

    @Test("random bytes are read or refused, never worse")
    func random() {
        var seed: UInt64 = 1
        let alphabet = Array("f64i32u8*,() constptrvoid_x.\n")
        for _ in 0..<3000 {
            var text = ""
            for _ in 0..<20 {
                seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                text.append(alphabet[Int(seed >> 33) % alphabet.count])
            }
            if let signature = try? ForeignSignature(text) {
                #expect((try? ForeignSignature(signature.description)) == signature, "\(text)")
            }
        }
    }
}
