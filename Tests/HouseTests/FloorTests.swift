import Foundation
import Testing

/// The house rules that a machine can check: who imports whom, and what does not belong in the tree.
struct FloorTests {
    private static let root = #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 }
    /// What each target may import of ours.
    private static let allowed: [String: Set<String>] = [
        "Pipeline": ["CHost"], "Model": [], "Tokens": [], "Driver": ["CDriver", "CFFI", "CHost", "CIsolation"], "Engine": ["CHost", "Pipeline", "Model", "Tokens", "Driver"],
        "baton-driver-host": ["Driver"], "DriverKit": ["CDriver"], "DriverConformance": ["CDriver", "Driver"],
        "Server": ["CHost", "Pipeline", "Model", "Tokens", "Driver", "Engine"], "LoadGenerator": [],
        "baton": ["CHost", "Pipeline", "Model", "Tokens", "Driver", "Engine", "DriverConformance", "Server", "LoadGenerator"],
    ]
    private static let ours: Set<String> = ["CDriver", "CFFI", "CHost", "CIsolation", "CLibFFI", "Pipeline", "Model", "Tokens", "Driver", "Engine", "DriverKit", "DriverConformance", "CPUKernels", "Server", "LoadGenerator"]

    private static func sources(_ folder: String) -> [(path: String, text: String)] {
        let base = root + "/" + folder
        let names = FileManager.default.enumerator(atPath: base)?.compactMap { $0 as? String } ?? []
        return names.filter { $0.hasSuffix(".swift") }.compactMap { name in
            (try? String(contentsOfFile: base + "/" + name, encoding: .utf8)).map { (folder + "/" + name, $0) }
        }
    }

    private static func imports(_ text: String) -> Set<String> {
        Set(
            text.split(separator: "\n").compactMap { line in
                let words = line.split(separator: " ").filter { !["public", "internal", "@testable", "@_exported"].contains($0) }
                return words.first == "import" && words.count > 1 ? String(words[1]) : nil
            })
    }

    @Test("imports go down a floor, never up or sideways", arguments: allowed.keys.sorted())
    func floors(target: String) {
        let files = Self.sources("Sources/" + target)
        #expect(!files.isEmpty)
        for file in files {
            let wrong = Self.imports(file.text).intersection(Self.ours).subtracting(Self.allowed[target] ?? [])
            #expect(wrong.isEmpty, "\(file.path) imports \(wrong.sorted())")
        }
    }

    @Test("a driver sees the contract and the kit, nothing else of ours, and no Foundation")
    func plugins() {
        for file in Self.sources("Plugins") {
            let imports = Self.imports(file.text)
            #expect(imports.intersection(Self.ours).isSubset(of: ["CDriver", "DriverKit", "CPUKernels"]), "\(file.path)")
            #expect(imports.isDisjoint(with: ["Foundation", "FoundationEssentials"]), "\(file.path)")
        }
    }

    @Test("the core names no driver", arguments: ["Driver", "Engine", "Pipeline", "Model", "Tokens"])
    func namesNone(target: String) {
        for file in Self.sources("Sources/" + target) {
            let code = file.text.split(separator: "\n").filter { !$0.drop { $0 == " " }.hasPrefix("//") }.joined(separator: "\n")
            for name in ["\"trainium3\"", "\"cs3\"", "\"cpu\""] { #expect(!code.contains(name), "\(file.path) names \(name)") }
        }
    }

    @Test("nothing outside tests crashes by design")
    func crashes() {
        for folder in ["Sources", "Plugins"] {
            for file in Self.sources(folder) {
                for word in ["try!", "fatalError(", "preconditionFailure("] { #expect(!file.text.contains(word), "\(file.path) has \(word)") }
            }
        }
    }
}
