import Crypto

/// The form of a request that is hashed and signed, as AWS Signature Version 4 has it for services other than S3: the path on the wire
/// is encoded once more, so that an id written `%2F` is signed as `%252F`.
struct CanonicalRequest {
    let text: String

    /// - Parameter bodyHash: SHA-256 in lower-case hexadecimal.
    init(_ request: WireRequest, signedHeaders: [String], bodyHash: String) {
        let headers = signedHeaders.map { name in
            "\(name):\(request.values(name).map(Self.trimmed).joined(separator: ","))\n"
        }
        text = [
            request.method.uppercased(), Self.path(request.path), Self.query(request.query), headers.joined(),
            signedHeaders.joined(separator: ";"), bodyHash,
        ].joined(separator: "\n")
    }

    /// Its SHA-256 in lower-case hexadecimal.
    var hash: String { Self.hexadecimal(SHA256.hash(data: Array(text.utf8))) }

    static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// Dot segments resolved, empty ones left out, every byte encoded but unreserved ones and `/`.
    private static func path(_ path: String) -> String {
        var kept: [Substring.UTF8View] = []
        for segment in path.utf8.split(separator: UInt8(ascii: "/")) {
            if segment.elementsEqual(".".utf8) { continue }
            if segment.elementsEqual("..".utf8) { _ = kept.popLast() } else { kept.append(segment) }
        }
        let joined = kept.reduce(into: [UInt8]()) { $0 += [UInt8(ascii: "/")] + PercentCoding.encode($1) }
        let ends = path.utf8.last == UInt8(ascii: "/") && !joined.isEmpty
        return joined.isEmpty ? "/" : String(decoding: joined, as: UTF8.self) + (ends ? "/" : "")
    }

    /// Names and values decoded and encoded again, ordered by name, then value.
    private static func query(_ query: String) -> String {
        guard !query.isEmpty else { return "" }
        let pairs = query.utf8.split(separator: UInt8(ascii: "&"), omittingEmptySubsequences: false).map { pair in
            let name = pair.prefix { $0 != UInt8(ascii: "=") }
            return (coded(name), coded(pair.dropFirst(name.count + 1)))
        }
        let ordered = pairs.sorted { $0.0 == $1.0 ? $0.1.lexicographicallyPrecedes($1.1) : $0.0.lexicographicallyPrecedes($1.0) }
        return ordered.map { String(decoding: $0.0 + [UInt8(ascii: "=")] + $0.1, as: UTF8.self) }.joined(separator: "&")
    }

    private static func coded(_ bytes: Substring.UTF8View) -> [UInt8] { PercentCoding.encode(PercentCoding.decode(bytes)) }

    /// Without space at both ends, and with one space for each run of it.
    private static func trimmed(_ value: String) -> String {
        value.split { $0 == " " || $0 == "\t" }.joined(separator: " ")
    }
}
