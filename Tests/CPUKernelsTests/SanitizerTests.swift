import BuildKit
import Testing

/// The kernels under the compiler's sanitizers, on memory of exactly the stated size, shared out over 1 to 8 threads.
@Suite(.serialized)
struct SanitizerTests {
    private static let clang = Tool(named: "clang")

    /// What the thread sanitizer of Swift's toolchain wants beside it.
    private static func libraries(_ clang: Tool) -> [String] {
        let folder = clang.path.split(separator: "/").dropLast(2).reduce("") { "\($0)/\($1)" } + "/lib/swift/linux"
        return ["-L\(folder)", "-ldispatch", "-lBlocksRuntime", "-Wl,-rpath,\(folder)"]
    }

    /// The program with one sanitizer, or nil where the toolchain has not got it: one that cannot be linked into an empty program.
    private static func build(_ sanitizer: String, in folder: TemporaryFolder) throws -> Tool? {
        guard let clang else { return nil }
        let empty = try folder.write("int main(void) { return 0; }\n", to: "empty.c")
        let more = ["-fsanitize=\(sanitizer)", "-fno-sanitize-recover=all", "-O1"] + (sanitizer == "thread" ? libraries(clang) : [])
        guard try clang.run([empty, "-o", folder.file("empty")] + more).status == 0 else { return nil }
        let kernels = SharedLibrary.root + "/Plugins/cpu/kernels/"
        let sources = ["dispatch", "layouts", "kernels_scalar", "kernels_avx2", "kernels_avx512", "kernels_avx512bf16"].map { "\(kernels)\($0).c" }
        let program = folder.file("shared_out_\(sanitizer)")
        try clang.check(
            ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-Wno-psabi", "-I", kernels + "include"] + sources
                + ["\(SharedLibrary.root)/Tests/Fixtures/kernels/shared_out.c", "-o", program, "-lm", "-lpthread"] + more)
        return Tool(at: program)
    }

    @Test("every kernel stays inside its memory and gives the same bits from 1 to 8 threads", .enabled(if: clang != nil, "no clang on PATH"), arguments: ["address", "thread"])
    func sanitized(sanitizer: String) throws {
        let folder = try TemporaryFolder()
        guard let program = try Self.build(sanitizer, in: folder) else {
            try Test.cancel("the \(sanitizer) sanitizer is not in this toolchain")
        }
        for seed in 1...3 {
            let found = try program.run(["\(seed)", "3"])
            #expect(found.status == 0, "seed \(seed): \(found.text)")
            // As many for each instruction set that this processor has; every one has the scalar path.
            #expect((Int(found.lines.first ?? "") ?? 0) > 300, "seed \(seed): \(found.text)")
        }
    }
}
