import BuildKit
import Testing

/// How workers go through a batch together, alone and under the thread sanitizer.
@Suite("The cpu driver's team of workers", .serialized)
struct TeamTests {
    private static let swiftc = Tool(named: "swiftc")

    /// The program of Tests/Fixtures/team, or nil where the toolchain has not got the sanitizer: one that cannot be linked into an empty program.
    private static func build(_ options: [String], in folder: TemporaryFolder) throws -> Tool? {
        guard let swiftc else { return nil }
        let empty = try folder.write("", to: "main.swift")
        guard try swiftc.run([empty, "-o", folder.file("empty")] + options).status == 0 else { return nil }
        let program = folder.file("team")
        try swiftc.check(
            ["\(SharedLibrary.root)/Plugins/cpu/Team.swift", "\(SharedLibrary.root)/Tests/Fixtures/team/main.swift", "-o", program, "-swift-version", "6", "-O"]
                + options)
        return Tool(at: program)
    }

    @Test(
        "every piece is done once, after all of the part before, whoever comes late or never", .enabled(if: swiftc != nil, "no swiftc on PATH"),
        arguments: [[], ["-sanitize=thread"]])
    func pieces(options: [String]) throws {
        let folder = try TemporaryFolder()
        guard let program = try Self.build(options, in: folder) else { try Test.cancel("\(options.joined()) is not in this toolchain") }
        for workers in 1...8 {
            for seed in 1...3 {
                let found = try program.run(["\(seed)", "\(workers)", "20"])
                #expect(found.status == 0, "seed \(seed), \(workers) workers: \(found.text)")
                #expect((Int(found.lines.first ?? "") ?? 0) > 1000, "seed \(seed), \(workers) workers: \(found.text)")
            }
        }
    }
}
