import BuildKit
import CPUKernels
import Glibc

/// The kernels for AVX-512, built with its instructions written out in C (`Tests/Fixtures/kernels/avx512.h`), for processors that have
/// AVX2 but not AVX-512: what is written for the larger machine is tested on the smaller one too. Says nothing of speed.
enum WrittenOut {
    private static let clang = Tool(named: "clang")

    /// The instruction sets that are written out here: none where clang or AVX2 is missing, and none that the processor has by itself.
    static let sets: [Int32] = clang == nil || cpuk_for(1) == nil ? [] : [2, 3].filter { cpuk_for($0) == nil }

    /// Only ever read once it is there: a table is constant, as every instruction set's is.
    nonisolated(unsafe) private static let tables = Dictionary(uniqueKeysWithValues: sets.map { isa in
        (isa, Result { try load(isa == 2 ? "avx512" : "avx512bf16") })
    })

    /// The kernels of one of `sets`.
    static func table(_ isa: Int32) throws -> UnsafePointer<cpuk_table>? { try tables[isa]?.get() }

    private static func load(_ name: String) throws -> UnsafePointer<cpuk_table> {
        guard let clang else { throw ToolError("no clang on PATH") }
        let folder = try TemporaryFolder()
        let library = folder.file("lib\(name).so")
        let kernels = SharedLibrary.root + "/Plugins/cpu/kernels"
        let source = try folder.write(forAVX2(try Tool.read("\(kernels)/kernels_\(name).c")), to: "\(name).c")
        try clang.check(
            ["-std=gnu11", "-O2", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-Wno-psabi", "-I", kernels, "-I", "\(kernels)/include"]
                + ["-mavx2", "-mfma", "-mf16c", "-mbmi", "-mbmi2", "-include", "\(SharedLibrary.root)/Tests/Fixtures/kernels/avx512.h"]
                + [source, "\(kernels)/layouts.c", "-o", library, "-lm"])
        // Never closed: the table's functions are called until the process ends.
        guard let handle = dlopen(library, RTLD_NOW | RTLD_LOCAL), let table = dlsym(handle, "cpuk_\(name)_table") else {
            throw ToolError("\(library) has no table: \(String(cString: dlerror()))")
        }
        return UnsafePointer(table.assumingMemoryBound(to: cpuk_table.self))
    }

    /// The source with a target the compiler may not use AVX-512 for.
    private static func forAVX2(_ source: String) -> String {
        guard let from = source.firstRange(of: ",avx512f"), let to = source[from.lowerBound...].firstIndex(of: "\"") else { return source }
        return source.replacing(source[from.lowerBound..<to], with: "")
    }
}
