import BuildKit
import Foundation

/// Versions of the contract to build hosts and drivers with: those that were published and are kept as they were, the present one, the minor after it with
/// longer structs and tables, and a major that moved every field.
struct ContractVersions {
    static let all = ["1.0", "now", "next", "2.0"]
    static let now = (major: 1, minor: minor)
    private static let minor: Int = {
        let text = (try? String(contentsOfFile: SharedLibrary.headers + "/baton/status.h", encoding: .utf8)) ?? ""
        return text.firstMatch(of: /BATON_ABI_MINOR (\d+)u/).flatMap { Int($0.output.1) } ?? 0
    }()
    let folder: String

    init() throws {
        folder = NSTemporaryDirectory() + "baton-contract-\(UUID().uuidString)"
        try write("next", major: 1, minor: Self.minor + 1) { lines in Self.grown(lines, first: false) }
        try write("2.0", major: 2, minor: 0) { lines in Self.grown(lines, first: true) }
    }

    func remove() { try? FileManager.default.removeItem(atPath: folder) }

    /// The include folder of a version.
    func include(_ version: String) -> String {
        switch version {
        case "1.0": SharedLibrary.root + "/Tests/Fixtures/contract/1.0"
        case "now": SharedLibrary.headers
        default: "\(folder)/\(version)"
        }
    }

    /// What a host and a driver of two versions come to: the version, or nothing.
    static func agreed(_ host: String, _ driver: String) -> String? {
        let minors = ["1.0": 0, "now": minor, "next": minor + 1]
        if host == "2.0", driver == "2.0" { return "2.0" }
        guard let a = minors[host], let b = minors[driver] else { return nil }
        return "1.\(min(a, b))"
    }

    private func write(_ version: String, major: Int, minor: Int, _ change: ([String]) -> [String]) throws {
        let to = "\(folder)/\(version)/baton"
        try FileManager.default.createDirectory(atPath: to, withIntermediateDirectories: true)
        for name in try FileManager.default.contentsOfDirectory(atPath: SharedLibrary.headers + "/baton") where name.hasSuffix(".h") {
            let text = try String(contentsOfFile: SharedLibrary.headers + "/baton/" + name, encoding: .utf8)
            let numbered = text.replacing(/BATON_ABI_MAJOR \d+u/, with: "BATON_ABI_MAJOR \(major)u").replacing(/BATON_ABI_MINOR \d+u/, with: "BATON_ABI_MINOR \(minor)u")
            // The note is read from files, and the entry's two structs tell the ranges across majors: they stay.
            let lines = numbered.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
            try (name == "note.h" || (major > 1 && name == "driver.h") ? lines : change(lines)).joined(separator: "\n").write(toFile: "\(to)/\(name)", atomically: true, encoding: .utf8)
        }
    }

    /// Every struct and table that begins with its size has 24 more bytes: at its end, or right after its size.
    private static func grown(_ lines: [String], first: Bool) -> [String] {
        var (out, isSized): ([String], Bool) = ([], false)
        for (index, line) in lines.enumerated() {
            if line.hasPrefix("}"), isSized {
                if !first { out.append("  uint64_t later[3];") }
                isSized = false
            }
            out.append(line)
            if line.hasPrefix("  uint32_t size;"), index > 0, lines[index - 1].hasSuffix("{") {
                isSized = true
                if first { out.append("  uint32_t moved[7];") }
            }
        }
        return out
    }
}
