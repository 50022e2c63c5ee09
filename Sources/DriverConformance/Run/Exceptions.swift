import FoundationEssentials
import Glibc

/// The rules a driver does not keep, and why, as its `conformance.json` declares them.
public struct Exceptions: Sendable {
    /// What is expected of the rule.
    public enum Kind: String, Sendable, Decodable {
        /// The driver will never offer this; the check is not run.
        case unsupported
        /// The check fails today; it is run, and flagged when it passes.
        case xfail
    }
    /// One exception.
    public struct Exception: Sendable, Decodable {
        public var kind: Kind
        public var reason: String

        public init(kind: Kind, reason: String) {
            self.kind = kind
            self.reason = reason
        }
    }

    public var rules: [String: Exception]

    public init(_ rules: [String: Exception] = [:]) { self.rules = rules }

    /// Reads a file such as `{"D23": {"kind": "unsupported", "reason": "the host cannot see device memory"}}`.
    public init(reading path: String) throws(ConformanceError) {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw ConformanceError("\(path): cannot be read; check the path and its permissions")
        }
        do { rules = try JSONDecoder().decode([String: Exception].self, from: data) } catch {
            throw ConformanceError("\(path): is not an object of rules such as {\"D23\": {\"kind\": \"unsupported\", \"reason\": \"...\"}}; kinds are unsupported and xfail")
        }
        for (id, exception) in rules {
            guard Rule.named(id) != nil else { throw ConformanceError("\(path): there is no rule \(id); they are D1 to D\(Rule.all.count)") }
            guard !exception.reason.isEmpty else { throw ConformanceError("\(path): the exception for \(id) has no reason; say why") }
        }
    }

    /// What lies beside a library: `<stem>.conformance.json` or `conformance.json`; nothing where neither is there.
    public static func beside(_ library: String) throws(ConformanceError) -> Exceptions {
        let cut = library.lastIndex(of: "/").map { library.index(after: $0) } ?? library.startIndex
        let stem = library[cut...].split(separator: ".").first.map(String.init) ?? ""
        for name in ["\(stem).conformance.json", "conformance.json"] {
            let path = library[..<cut] + name
            if access(String(path), R_OK) == 0 { return try Exceptions(reading: String(path)) }
        }
        return Exceptions()
    }
}

/// Why the suite could not be run; one line.
public struct ConformanceError: Error, Sendable, CustomStringConvertible {
    public var description: String
    public init(_ words: String) { description = words }
}
