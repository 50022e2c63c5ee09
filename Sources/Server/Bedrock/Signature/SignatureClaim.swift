/// What an `Authorization` header of AWS Signature Version 4 claims, read and found whole; nothing of it is proven yet.
struct SignatureClaim: Sendable {
    static let algorithm = "AWS4-HMAC-SHA256"

    let accessKey: String
    let date: SigningDate
    let region: String
    let service: String
    /// In lower case, ascending, none twice; `host` and `x-amz-date` among them.
    let signedHeaders: [String]
    /// 32 bytes.
    let signature: [UInt8]
    /// The SHA-256 that `x-amz-content-sha256` states, in lower-case hexadecimal; nil without that header.
    let statedHash: String?

    /// `day/region/service/aws4_request`.
    var scope: String { "\(date.day)/\(region)/\(service)/aws4_request" }

    /// Reads the claim of a request.
    init(_ request: WireRequest) throws(SignatureRefusal) {
        let parts = try Self.parts(of: try Self.authorization(of: request))
        let credential = parts.credential.split(separator: "/", omittingEmptySubsequences: false)
        guard credential.count == 5, credential[4] == "aws4_request", credential.allSatisfy({ !$0.isEmpty }) else {
            throw SignatureRefusal(.incomplete, "Credential is not KEY/YYYYMMDD/REGION/SERVICE/aws4_request; sign with an AWS SDK")
        }
        date = try Self.date(of: request)
        (accessKey, region, service) = (String(credential[0]), String(credential[2]), String(credential[3]))
        guard credential[1] == date.day else {
            throw SignatureRefusal(.invalid, "Credential is scoped to \(Self.shown(credential[1])) and x-amz-date is of \(date.day); sign again")
        }
        signedHeaders = try Self.signedHeaders(parts.signedHeaders, of: request)
        guard let signature = Self.bytes(ofHex: parts.signature) else {
            throw SignatureRefusal(.incomplete, "Signature is not 64 hexadecimal digits; sign with an AWS SDK")
        }
        self.signature = signature
        statedHash = try Self.statedHash(of: request)
    }

    private static func authorization(of request: WireRequest) throws(SignatureRefusal) -> String {
        let queryNames = request.query.split(separator: "&").map { $0.prefix { $0 != "=" }.lowercased() }
        guard !queryNames.contains("x-amz-signature"), !queryNames.contains("x-amz-algorithm") else {
            throw SignatureRefusal(.incomplete, "signatures in the query are not taken; sign in the Authorization header")
        }
        let values = request.values("authorization")
        guard let value = values.first else {
            throw SignatureRefusal(.missing, "the request has no Authorization header; sign it, or send a bearer key")
        }
        guard values.count == 1 else { throw SignatureRefusal(.incomplete, "the request has \(values.count) Authorization headers; send one") }
        return value
    }

    private static func parts(of header: String) throws(SignatureRefusal) -> (credential: String, signedHeaders: String, signature: String) {
        let words = header.split(separator: " ", maxSplits: 1)
        guard words.count == 2, words[0] == algorithm else {
            throw SignatureRefusal(.incomplete, "Authorization is neither \(algorithm) nor a bearer key; sign with Signature Version 4")
        }
        var found: [String: String] = [:]
        for part in words[1].split(separator: ",", omittingEmptySubsequences: false) {
            let pair = part.drop { $0 == " " }.split(separator: "=", maxSplits: 1)
            guard pair.count == 2, ["Credential", "SignedHeaders", "Signature"].contains(pair[0]), found[String(pair[0])] == nil else {
                throw SignatureRefusal(.incomplete, "Authorization holds other than Credential, SignedHeaders and Signature, once each; sign with an AWS SDK")
            }
            var value = pair[1]
            while value.last == " " { value.removeLast() }
            found[String(pair[0])] = String(value)
        }
        guard let credential = found["Credential"], let headers = found["SignedHeaders"], let signature = found["Signature"] else {
            throw SignatureRefusal(.incomplete, "Authorization lacks Credential, SignedHeaders or Signature; sign with an AWS SDK")
        }
        return (credential, headers, signature)
    }

    private static func date(of request: WireRequest) throws(SignatureRefusal) -> SigningDate {
        guard let text = request.single("x-amz-date") else {
            throw SignatureRefusal(.incomplete, "the request has not exactly one x-amz-date header; send it, and sign it")
        }
        guard let date = SigningDate(text) else {
            throw SignatureRefusal(.incomplete, "x-amz-date is \"\(shown(text))\"; write it YYYYMMDD'T'HHMMSS'Z'")
        }
        return date
    }

    /// The headers that must be signed are: those that say to whom and when, and all that change what is done.
    private static func signedHeaders(_ list: String, of request: WireRequest) throws(SignatureRefusal) -> [String] {
        let names = list.split(separator: ";", omittingEmptySubsequences: false).map(String.init)
        guard zip(names, names.dropFirst()).allSatisfy({ Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) }),
            names.allSatisfy({ !$0.isEmpty && $0 == $0.lowercased() })
        else { throw SignatureRefusal(.incomplete, "SignedHeaders are not in lower case, ascending, each once; sign with an AWS SDK") }
        let signed = Set(names), present = Set(request.headers.map(\.name))
        if let absent = names.first(where: { !present.contains($0) }) {
            throw SignatureRefusal(.invalid, "SignedHeaders name \(shown(absent)), which the request lacks; send what was signed")
        }
        let needed = present.filter { $0.hasPrefix("x-amz-") || $0.hasPrefix("x-amzn-bedrock-") }.union(["host", "x-amz-date"])
        if let unsigned = needed.subtracting(signed).min() {
            throw SignatureRefusal(.invalid, "the header \(shown(unsigned)) is not signed; sign it")
        }
        return names
    }

    private static func statedHash(of request: WireRequest) throws(SignatureRefusal) -> String? {
        guard !request.values("x-amz-content-sha256").isEmpty else { return nil }
        let value = request.single("x-amz-content-sha256") ?? ""
        if value == "UNSIGNED-PAYLOAD" || value.hasPrefix("STREAMING-") {
            throw SignatureRefusal(.invalid, "x-amz-content-sha256 is \(shown(value)); the body must be signed whole, with its SHA-256")
        }
        guard bytes(ofHex: value) != nil, value == value.lowercased() else {
            throw SignatureRefusal(.incomplete, "x-amz-content-sha256 is not 64 hexadecimal digits in lower case; sign with an AWS SDK")
        }
        return value
    }

    private static func bytes(ofHex text: String) -> [UInt8]? {
        let digits = Array(text.utf8)
        guard digits.count == 64 else { return nil }
        var bytes: [UInt8] = []
        for place in stride(from: 0, to: 64, by: 2) {
            guard let high = PercentCoding.hex(digits[place]), let low = PercentCoding.hex(digits[place + 1]) else { return nil }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    /// What a stranger wrote, short and in plain characters.
    static func shown(_ text: some StringProtocol) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.prefix(64).map { (0x20..<0x7F).contains($0.value) ? $0 : "?" }))
    }
}
