import BuildKit
import Fuzz
import Glibc
import TestKit
import Testing

/// Seeded fuzzing of all that takes bytes from outside: no crash, no hang, no unbounded memory. `make fuzz` goes on for longer.
@Suite("Fuzzing")
struct FuzzTests {
    private static let counts: [FuzzTarget: Int] = [.gguf: 15_000, .manifest: 40_000, .driverManifest: 60_000, .elf: 80_000, .attestation: 60_000, .child: 80_000]

    /// Real files to begin with, where there are any.
    private static func files(_ target: FuzzTarget, _ folder: TemporaryFolder) throws -> [String] {
        switch target {
        case .manifest: ["aggregated", "disaggregated", "split", "foreign"].map { "\(SharedLibrary.root)/Examples/\($0).yaml" }
        case .elf: Tool.cc == nil ? [] : [try SharedLibrary.driver("old", in: folder)]
        case .driverManifest, .attestation, .gguf, .child: []
        }
    }

    @Test("damaged input of every kind ends in a value or in one line", arguments: FuzzTarget.allCases)
    func seeded(target: FuzzTarget) throws {
        let runner = Tool(at: "\(TestDrivers.folder)/baton-fuzz")
        let folder = try TemporaryFolder()
        let kept = folder.file("input")
        let run = try runner.run([target.rawValue, "\(Self.counts[target] ?? 1_000)", "20261125", kept] + Self.files(target, folder))
        #expect(run.status == 0, "\(run.text.suffix(2_000))")
        if run.status != 0 { Issue.record("the input, in hexadecimal: \(try Self.hexadecimal(kept))") }
        let peak = try #require(run.text.split(separator: " ").dropLast(3).last.flatMap { Int($0) })
        #expect(peak < 512, "\(run.text)")
    }

    private static func hexadecimal(_ path: String) throws -> String {
        guard let file = fopen(path, "r") else { return "none" }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 4_096)
        return bytes.prefix(fread(&bytes, 1, bytes.count, file)).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    @Test("the same seed gives the same inputs, and they differ from each other")
    func mutator() {
        func inputs(_ seed: UInt64) -> [[UInt8]] {
            var mutator = Mutator(seed: seed, seeds: FuzzTarget.elf.seeds, words: FuzzTarget.elf.words)
            return (0..<200).map { _ in mutator.next() }
        }
        #expect(inputs(1) == inputs(1) && inputs(1) != inputs(2))
        #expect(Set(inputs(1)).count > 150)
    }
}
