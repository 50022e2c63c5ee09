import BuildKit
import Driver
import Glibc
import Testing

@Suite("Calls")
struct CallTests {
    @Test("the mathematics library's cosine is the cosine")
    func cosine() throws {
        let function = try ForeignFunction("f64 cos(f64)", library: "libm.so.6")
        guard case .f64(let value) = try function.call([.f64(0.5)]) else { throw ToolError("cos gave no f64") }
        #expect(value == cos(0.5))
    }

    @Test("functions of the process are found without a library")
    func process() throws {
        let length = try ForeignFunction(try ForeignSignature("u64 strlen(str)"), in: try ForeignLibrary.process())
        #expect(try length.call([.string("gr\u{FC}\u{DF}")]).description == "6")
        let magnitude = try ForeignFunction(try ForeignSignature("i32 abs(i32)"), in: try ForeignLibrary.process())
        #expect(try magnitude.call([.i32(-7)]).description == "7")
    }

    @Test("a library that cannot be opened is named with the loader's own words", arguments: [
        ("libdoes_not_exist.so.9", "cannot open shared object file"),
        ("/no/such/library.so", "No such file"),
        ("plugins/library.so", "relative path"),
        ("./library.so", "relative path"),
        ("/dev/null", "not a regular file"),
        ("", "not a file name"),
        ("a\0b", "not a file name"),
    ])
    func libraryMissing(name: String, words: String) {
        let error = #expect(throws: ForeignError.self) { try ForeignLibrary.open(name) }
        #expect(error?.kind == .library)
        #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    }

    @Test("a file that is no library is refused in the loader's words")
    func notALibrary() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("text", to: "text.so")
        let error = #expect(throws: ForeignError.self) { try ForeignLibrary.open(path) }
        #expect(error?.description.contains(path) == true)
    }

    @Test("relative paths are joined to a folder the caller names, bare names are left to the loader")
    func resolve() {
        #expect(ForeignLibrary.resolve("lib/a.so", against: "/x") == "/x/lib/a.so")
        #expect(ForeignLibrary.resolve("./a.so", against: "/x/") == "/x/./a.so")
        #expect(ForeignLibrary.resolve("/a.so", against: "/x") == "/a.so")
        #expect(ForeignLibrary.resolve("libm.so.6", against: "/x") == "libm.so.6")
    }

    @Test("a missing function is named with its library")
    func functionMissing() {
        let error = #expect(throws: ForeignError.self) { try ForeignFunction("f64 cosine(f64)", library: "libm.so.6") }
        #expect(error?.kind == .function)
        #expect(error?.description.contains("libm.so.6") == true)
        #expect(error?.description.contains("'cosine'") == true)
    }

    @Test("a signature without a name finds no function")
    func nameless() {
        let error = #expect(throws: ForeignError.self) { try ForeignFunction("f64 (f64)", library: "libm.so.6") }
        #expect(error?.kind == .signature)
    }

    @Test("too few arguments, too many, and wrong ones are refused before the call")
    func mismatches() throws {
        let function = try ForeignFunction("f64 pow(f64 base, f64 exponent)", library: "libm.so.6")
        let few = #expect(throws: ForeignError.self) { try function.call([.f64(2)]) }
        #expect(few?.kind == .argumentCount)
        #expect(few?.description == "'f64 pow(f64 base, f64 exponent)' takes 2 arguments and was given 1")
        let wrong = #expect(throws: ForeignError.self) { try function.call([.f64(2), .f32(3)]) }
        #expect(wrong?.kind == .argumentType)
        #expect(wrong?.description == "argument 2 (exponent) of 'f64 pow(f64 base, f64 exponent)' is f64 and was given f32")
        let text = #expect(throws: ForeignError.self) { try function.call([.string("2"), .f64(3)]) }
        #expect(text?.description.contains("given a string") == true)
    }

    @Test("a command line's arguments are read as the parameters' types, and a bad one is named")
    func commandLine() throws {
        let function = try ForeignFunction("f64 ldexp(f64 x, i32 exponent)", library: "libm.so.6")
        #expect(try function.call(try function.parse(["0.75", "3"])).description == "6.0")
        let error = #expect(throws: ForeignError.self) { try function.parse(["1", "9999999999"]) }
        #expect(error?.description.hasPrefix("argument 2 (exponent) of 'f64 ldexp(f64 x, i32 exponent)': '9999999999' does not fit i32") == true)
        #expect(throws: ForeignError.self) { try function.parse(["1"]) }
    }

    @Test("a string with a NUL inside is not passed")
    func nul() throws {
        let length = try ForeignFunction(try ForeignSignature("u64 strlen(str)"), in: try ForeignLibrary.process())
        let error = #expect(throws: ForeignError.self) { try length.call([.string("a\0b")]) }
        #expect(error?.kind == .value)
    }

    @Test("a prepared call keeps its arguments and checks their types")
    func prepared() throws {
        let function = try ForeignFunction("f64 pow(f64 base, f64 exponent)", library: "libm.so.6")
        try function.withPrepared { call in
            try call.set(2.0, at: 0)
            for exponent in 0..<10 {
                try call.set(Double(exponent), at: 1)
                #expect(try call.run(as: Double.self) == Double(1 << exponent))
            }
        }
        var call = function.prepare()
        #expect(throwing { () throws(ForeignError) in try call.set(Float(2), at: 0) } == .argumentType)
        #expect(throwing { () throws(ForeignError) in try call.set(2.0, at: 2) } == .argumentCount)
        #expect(throwing { () throws(ForeignError) in try call.set(address: nil, at: 0) } == .argumentType)
        #expect(throwing { () throws(ForeignError) in _ = try call.run(as: Float.self) } == .argumentType)
    }
}

/// The kind of the error that `body` throws, or nil.
func throwing(_ body: () throws(ForeignError) -> Void) -> ForeignError.Kind? {
    do throws(ForeignError) { try body() } catch { return error.kind }
    return nil
}
