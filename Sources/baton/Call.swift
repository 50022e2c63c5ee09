import ArgumentParser
import Driver

struct Call: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Calls a C function of a shared library by its signature.",
        discussion: """
            Types: void bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 str ptr T*. A T* takes null or [1, 2, 3], which is printed again after the call.

            EXAMPLES
              baton call libm.so.6 'f64 cos(f64)' 0.5
              baton call libc.so.6 'i32 abs(i32)' -- -7
              baton call ./libguard.so 'i32 mask(f32* logits, u64 count)' '[1, 2]' 2
            """)

    @Argument(help: "The library: a path, or a name the dynamic linker finds.", completion: .file(extensions: ["so"])) var library: String
    @Argument(help: "The signature, such as 'f64 cos(f64)'.") var signature: String
    @Argument(help: "The arguments, one for each parameter.") var arguments: [String] = []
    @Flag(help: "Print JSON.") var json = false

    func run() throws {
        try Failure.wrapping {
            let path = library.contains("/") ? Files.absolute(library, against: Files.currentDirectory) : library
            let function = try ForeignFunction(signature, library: path)
            let values = try function.parse(arguments)
            let result = try function.call(values)
            let changed = values.compactMap { value -> String? in
                if case .buffer(let buffer) = value { buffer.description } else { nil }
            }
            if json { return Terminal.line(try JSON.text(Result(result: result.description, buffers: changed))) }
            Terminal.line(result.description)
            for buffer in changed { Terminal.line(buffer) }
        }
    }

    private struct Result: Encodable {
        var result: String
        var buffers: [String]
    }
}
