// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Pipeline

@Suite("Signatures of foreign stages")
struct StageSignatureTests {
    @Test("are read and written back")
    func read() throws {
        let cosine = try StageSignature("f64 cos(f64)")
        #expect(cosine.returnType == .f64 && cosine.name == "cos" && cosine.parameters == [.init(.f64)])
        for (text, plain) in [
            ("void f()", "void f()"), ("void f(void)", "void f()"), ("i32(ptr, void *x)", "i32 (ptr, ptr x)"),
            (" bool  g ( const u8 * text , i8** b ) ", "bool g(u8* text, i8** b)"),
        ] {
            let signature = try StageSignature(text)
            #expect(signature.description == plain)
            #expect(try StageSignature(plain) == signature)
        }
    }

    @Test(
        "are refused with the column of what is wrong",
        arguments: [
            ("", 1), ("f64", 4), ("f64 cos", 8), ("f64 cos(", 9), ("f64 cos(f64", 12), ("f64 cos(f64) x", 14), ("int f()", 1), ("f64 f(void, f64)", 7),
            ("f64 f(f64,)", 11), ("f64 f(...)", 7), ("f64 f(u8*********)", 17), ("f64 f(struct a)", 7), ("é", 1),
        ])
    func refused(_ text: String, _ column: Int) {
        do throws(StageSignature.Failure) {
            _ = try StageSignature(text)
            Issue.record("nothing was thrown")
        } catch { #expect(error.column == column, "\(error)") }
    }

    @Test("of every hook fit their own hook, by types and not by names")
    func hooks() throws {
        for hook in ForeignHook.allCases {
            #expect(hook.difference(from: hook.signature) == nil)
            #expect(try StageSignature(hook.signature.description) == hook.signature)
        }
        #expect(try ForeignHook.textIn.difference(from: StageSignature("i32 g(const u8* a, u64)")) == nil)
        for (text, part) in [
            ("i32 f(i8*, u64)", "parameter 1 is i8* instead of u8*"), ("i32 f(ptr, u64)", "parameter 1 is ptr instead of u8*"),
            ("i32 f(u8**, u64)", "parameter 1 is u8** instead of u8*"),
        ] { #expect(try ForeignHook.textIn.difference(from: StageSignature(text)) == part) }
    }
}
