/// How Bedrock names the model that is served: `baton.NAME`. Taken for it are also NAME alone, either with a version (`:0`, `-v1:0`), a
/// cross-region prefix (`us.`), and the ARN of a foundation model or inference profile that ends so.
struct BedrockModelID: Sendable {
    static let provider = "baton"
    /// Longest that AWS takes.
    private static let longest = 2048

    /// What the server calls the model.
    let name: String

    /// As lists have it: small letters, digits and hyphens after the provider.
    var listed: String { "\(Self.provider)." + Self.plain(name) }

    func arn(region: String) -> String { "arn:aws:bedrock:\(region)::foundation-model/\(listed)" }

    /// Whether `id`, percent-decoded, names the model.
    /// - Throws: when it could name none.
    func isNamed(by id: String) throws(Refusal) -> Bool {
        if id == name { return true }
        guard (1...Self.longest).contains(id.utf8.count), id.unicodeScalars.allSatisfy(Self.isAllowed) else {
            throw Refusal(.invalid, "the model id has characters or a length that no id has; ask for \(listed)", field: "modelId")
        }
        var rest = id[...]
        if rest.hasPrefix("arn:") { rest = rest.lastIndex(of: "/").map { rest[rest.index(after: $0)...] } ?? rest }
        for prefix in ["us.", "eu.", "apac.", "global."] where rest.hasPrefix(prefix + Self.provider + ".") { rest = rest.dropFirst(prefix.count) }
        if rest.hasPrefix(Self.provider + ".") { rest = rest.dropFirst(Self.provider.count + 1) }
        for version in ["-v1:0", ":0"] where rest.hasSuffix(version) {
            rest = rest.dropLast(version.count)
            break
        }
        return rest == name || rest == Self.plain(name)
    }

    private static func isAllowed(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "a"..."z", "A"..."Z", "0"..."9", "-", ".", "_", ":", "/", "~", "+", " ": true
        default: false
        }
    }

    private static func plain(_ name: String) -> String {
        String(name.lowercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" })
    }
}
