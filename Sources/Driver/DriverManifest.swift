package import FoundationEssentials

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
    /// The interfaces that the driver offers, such as "baton.kv"; what is not among them is not used. Nil limits nothing.
    public var capabilities: [String]?
    public var devices: [String]
    /// Over name, hash, ABI and capabilities.
    public var signature: DriverSignature?

    private struct Form: Decodable {
        struct Range: Decodable {
            var min: String
            var max: String
        }
        var name: String
        var library: String
        var abi: Range?
        var sha256: String?
        var capabilities: [String]?
        var devices: [String]?
        var signature: DriverSignature?
    }
    private static let keys: Set<String> = ["name", "library", "abi", "sha256", "capabilities", "devices", "signature"]
    private static let limit = 1 << 20

    /// Reads the manifest at `path`, which is absolute.
    public init(reading path: String) throws(DriverError) {
        func fail(_ words: String) -> DriverError {
            DriverError(.invalidArgument, driver: path, call: "driver manifest", detail: words)
        }
        try self.init(data: try SmallFile.read(path, limit: Self.limit, fail), path: path)
    }

    /// Takes the bytes of a manifest apart; `path` stands for where they came from.
    package init(data: Data, path: String) throws(DriverError) {
        func fail(_ words: String) -> DriverError {
            DriverError(.invalidArgument, driver: path, call: "driver manifest", detail: words)
        }
        let form: Form
        do {
            form = try JSONDecoder().decode(Form.self, from: data)
            let all = try JSONDecoder().decode([String: AnyJSON].self, from: data)
            if let odd = all.keys.filter({ !Self.keys.contains($0) }).min() {
                throw fail("unknown key '\(odd)'; the keys are \(Self.keys.sorted().joined(separator: ", "))")
            }
        } catch let error as DriverError { throw error } catch { throw fail(Self.words(error)) }
        try self.init(form, folder: path.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 }, fail)
    }

    init(name: String, library: String) {
        self.name = name
        self.library = library
        devices = []
    }

    private init(_ form: Form, folder: String, _ fail: (String) -> DriverError) throws(DriverError) {
        guard Self.isName(form.name) else { throw fail("name '\(form.name)' is not a driver's name") }
        guard !form.library.isEmpty else { throw fail("library is empty; it is the path of the shared library beside this file") }
        name = form.name
        library = form.library.hasPrefix("/") ? form.library : folder + "/" + form.library
        devices = form.devices ?? []
        signature = form.signature
        capabilities = form.capabilities?.sorted()
        if let odd = form.capabilities?.first(where: { $0.contains(",") || !Self.isName($0) }) {
            throw fail("capability '\(odd)' is not the id of an interface, such as baton.kv")
        }
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

    private static func isName(_ text: String) -> Bool {
        !text.isEmpty && !text.contains("/") && text.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value != 0x7F }
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
}
