import CHost
import FoundationEssentials
import Glibc

/// What a driver must show before it is loaded. A plain value.
///
/// The operator's file is JSON, named by BATON_TRUST or found at /etc/baton/trust.json:
/// ```json
/// {"require": "signature", "keys": ["ed25519:…", "acme.pub"]}
/// ```
/// A pipeline's manifest may ask for more, never for less, and its keys count only where the operator's file gives none.
public struct TrustPolicy: Sendable, Hashable, Encodable {
    public enum Requirement: String, Sendable, Encodable, CaseIterable, Comparable {
        /// Whatever is found on the path; a stated sha256 or signature must still be right.
        case none
        /// A driver manifest that pins the library's sha256.
        case hash
        /// A driver manifest signed by a key of the list.
        case signature

        private var strictness: Int { self == .none ? 0 : self == .hash ? 1 : 2 }
        public static func < (a: Self, b: Self) -> Bool { a.strictness < b.strictness }
    }
    public var require: Requirement
    public var keys: [TrustKey]
    /// Where each part came from, for people.
    public var sources: [String]

    public static let operatorFile = "/etc/baton/trust.json"

    public init(require: Requirement = .none, keys: [TrustKey] = [], sources: [String] = []) {
        self.require = require
        self.keys = keys
        self.sources = sources
    }

    /// The operator's. The environment is ignored when the process runs with elevated privilege.
    public static func standard() throws(DriverError) -> TrustPolicy {
        let named = chost_is_elevated() == 0 ? getenv("BATON_TRUST").map { String(cString: $0) } ?? "" : ""
        if !named.isEmpty { return try TrustPolicy(reading: named) }
        return access(operatorFile, F_OK) == 0 ? try TrustPolicy(reading: operatorFile) : TrustPolicy()
    }

    private struct Form: Decodable {
        var require: String?
        var keys: [String]?
    }

    /// Reads an operator's file. Keys named by path lie beside it.
    public init(reading path: String) throws(DriverError) {
        func fail(_ words: String) -> DriverError { DriverError(.invalidArgument, driver: path, call: "trust", detail: words) }
        guard path.hasPrefix("/") else { throw fail("the path is not absolute; BATON_TRUST names the operator's file from the root") }
        if let words = PathTrust.objection(to: path, exempt: []) { throw fail("cannot be relied on: \(words)") }
        let data = try SmallFile.read(path, limit: 1 << 20, fail)
        let form: Form
        do {
            form = try JSONDecoder().decode(Form.self, from: data)
            let keys = try JSONDecoder().decode([String: AnyJSON].self, from: data).keys
            if let odd = keys.filter({ !["require", "keys"].contains($0) }).min() { throw fail("unknown key '\(odd)'; the keys are keys, require") }
        } catch let error as DriverError { throw error } catch { throw fail("is not JSON such as {\"require\": \"hash\", \"keys\": []}") }
        guard let require = Requirement(rawValue: form.require ?? "none") else {
            throw fail("require is '\(form.require ?? "")'; it is \(Requirement.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        let folder = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
        var keys: [TrustKey] = []
        for text in form.keys ?? [] { keys.append(try TrustKey(naming: text, folder: folder)) }
        self.init(require: require, keys: keys, sources: [path])
    }

    /// With what a pipeline's manifest asks for: the stricter requirement, and its keys only where the operator gave none.
    public func tightened(require more: Requirement, keys others: [TrustKey], source: String) -> TrustPolicy {
        TrustPolicy(require: max(require, more), keys: keys.isEmpty ? others : keys, sources: sources + [source])
    }
}

/// Any JSON value, unread.
struct AnyJSON: Decodable {
    init(from decoder: any Decoder) throws {}
}

/// Whole small files: manifests, keys, policies.
enum SmallFile {
    static func read(_ path: String, limit: Int, _ fail: (String) -> DriverError) throws(DriverError) -> Data {
        var bytes: UnsafeMutablePointer<UInt8>?
        let count = chost_read_file(path, limit, &bytes)
        defer { free(bytes) }
        guard count >= 0 else { throw fail("cannot be read: \(String(cString: strerror(Int32(-count)))); check the path and its permissions") }
        guard count <= limit else { throw fail("is longer than the \(limit) bytes that such a file may have") }
        return bytes.map { Data(bytes: $0, count: count) } ?? Data()
    }
}
