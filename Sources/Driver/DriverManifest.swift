import CHost
import FoundationEssentials
import Glibc

/// `<name>.driver.json`: a driver described beside its library.
///
/// ```json
/// {"name": "acme", "library": "libbaton-acme.so", "abi": {"min": "1.0", "max": "1.0"}, "sha256": "…", "devices": ["acme-1"]}
/// ```
public struct DriverManifest: Sendable, Hashable {
    public var name: String
    /// Absolute: the manifest's `library` against the manifest's own folder.
    public var library: String
    /// What the manifest says the library speaks, if it does.
    public var abi: ABIRange?
    /// 64 lower-case hexadecimal digits, if pinned.
    public var sha256: String?
    public var devices: [String]

    private struct Form: Decodable {
        struct Range: Decodable {
            var min: String
            var max: String
        }
        var name: String
        var library: String
        var abi: Range?
        var sha256: String?
        var devices: [String]?
    }
    private static let keys: Set<String> = ["name", "library", "abi", "sha256", "devices"]
    private static let limit = 1 << 20

    /// Reads the manifest at `path`, which is absolute.
    public init(reading path: String) throws(DriverError) {
        func fail(_ words: String) -> DriverError {
            DriverError(.invalidArgument, driver: path, call: "driver manifest", detail: words)
        }
        let data = try Self.bytes(path, fail)
        let form: Form
        do {
            form = try JSONDecoder().decode(Form.self, from: data)
            let all = try JSONDecoder().decode([String: Anything].self, from: data)
            if let odd = all.keys.filter({ !Self.keys.contains($0) }).min() {
                throw fail("unknown key '\(odd)'; the keys are \(Self.keys.sorted().joined(separator: ", "))")
            }
        } catch let error as DriverError { throw error } catch { throw fail(Self.words(error)) }
        try self.init(form, folder: path.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 }, fail)
    }

    private static func bytes(_ path: String, _ fail: (String) -> DriverError) throws(DriverError) -> Data {
        var bytes: UnsafeMutablePointer<UInt8>?
        let count = chost_read_file(path, limit, &bytes)
        defer { free(bytes) }
        guard count >= 0 else {
            throw fail("cannot be read: \(String(cString: strerror(Int32(-count)))); check the path and its permissions")
        }
        guard count <= limit else { throw fail("is longer than the \(limit) bytes that a driver manifest may have") }
        return bytes.map { Data(bytes: $0, count: count) } ?? Data()
    }

    private init(_ form: Form, folder: String, _ fail: (String) -> DriverError) throws(DriverError) {
        guard !form.name.isEmpty, !form.name.contains("/") else { throw fail("name '\(form.name)' is not a driver's name") }
        guard !form.library.isEmpty else { throw fail("library is empty; it is the path of the shared library beside this file") }
        name = form.name
        library = form.library.hasPrefix("/") ? form.library : folder + "/" + form.library
        devices = form.devices ?? []
        if let range = form.abi {
            guard let low = ABIVersion(range.min), let high = ABIVersion(range.max), low <= high else {
                throw fail("abi '\(range.min)'..'\(range.max)' is not a range such as {\"min\": \"1.0\", \"max\": \"1.0\"}")
            }
            abi = ABIRange(low, high)
        }
        if let hash = form.sha256?.lowercased() {
            guard hash.utf8.count == 64, hash.allSatisfy(\.isHexDigit) else { throw fail("sha256 is not 64 hexadecimal digits") }
            sha256 = hash
        }
    }

    private static func words(_ error: any Error) -> String {
        guard let error = error as? DecodingError else { return "is not readable as JSON" }
        switch error {
        case .keyNotFound(let key, _): return "the key '\(key.stringValue)' is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            return "'\(context.codingPath.map(\.stringValue).joined(separator: "."))' has the wrong type"
        case .dataCorrupted: return "is not valid JSON"
        @unknown default: return "is not valid JSON"
        }
    }

    /// Any JSON value, unread.
    private struct Anything: Decodable {
        init(from decoder: any Decoder) throws {}
    }
}
