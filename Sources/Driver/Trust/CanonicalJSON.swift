import FoundationEssentials

/// JSON of which there is one text for one value, so that it can be signed: keys sorted, no spaces, whole numbers alone, as RFC 8785 writes them.
public indirect enum CanonicalJSON: Sendable, Hashable {
    case null
    case bool(Bool)
    case integer(Int64)
    case string(String)
    case array([CanonicalJSON])
    case object([String: CanonicalJSON])

    private static let limit = 1 << 20

    /// Takes JSON text apart, however it is spaced. Errors: not JSON, a number that is not whole, longer than 1 MiB.
    package init(parsing bytes: [UInt8], of path: String) throws(DriverError) {
        func fail(_ words: String) -> DriverError { DriverError(.invalidArgument, driver: path, call: "attestation", detail: words) }
        guard bytes.count <= Self.limit else { throw fail("is longer than the \(Self.limit) bytes that it may have") }
        do { self = try JSONDecoder().decode(Loose.self, from: Data(bytes)).value } catch { throw fail("is not JSON of texts and whole numbers") }
    }

    /// The one text of this value.
    package var text: String {
        switch self {
        case .null: "null"
        case .bool(let value): value ? "true" : "false"
        case .integer(let value): "\(value)"
        case .string(let value): Self.quoted(value)
        case .array(let items): "[" + items.map(\.text).joined(separator: ",") + "]"
        case .object(let pairs):
            "{" + pairs.sorted { $0.key.utf16.lexicographicallyPrecedes($1.key.utf16) }.map { Self.quoted($0.key) + ":" + $0.value.text }.joined(separator: ",") + "}"
        }
    }

    private static func quoted(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\u{08}": out += "\\b"
            case "\u{0C}": out += "\\f"
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            case _ where scalar.value < 0x20: out += "\\u00" + [UInt8(scalar.value)].hex
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }

    subscript(_ key: String) -> CanonicalJSON? {
        guard case .object(let pairs) = self else { return nil }
        return pairs[key]
    }

    var string: String? {
        guard case .string(let text) = self else { return nil }
        return text
    }

    static func text(_ value: String?) -> CanonicalJSON { value.map { .string($0) } ?? .null }

    private struct Loose: Decodable {
        var value: CanonicalJSON

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if container.decodeNil() { value = .null }
            else if let bool = try? container.decode(Bool.self) { value = .bool(bool) }
            else if let number = try? container.decode(Int64.self) { value = .integer(number) }
            else if let text = try? container.decode(String.self) { value = .string(text) }
            else if let items = try? container.decode([Loose].self) { value = .array(items.map(\.value)) }
            else { value = .object(try container.decode([String: Loose].self).mapValues(\.value)) }
        }
    }
}
