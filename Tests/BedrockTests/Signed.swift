import Crypto
import Foundation
@testable import Server

/// A signed request and what it takes to check it.
struct Signed: Sendable {
    var request: WireRequest
    var body: [UInt8]
    var key: SigningKey
    var now: Int64

    /// Checks it whole, as the server does.
    func check(keys: [SigningKey]? = nil, now: Int64? = nil) throws(SignatureRefusal) -> SigningKey {
        let all = keys ?? [key], moment = now ?? self.now
        let verifier = SignatureVerifier { name in all.first { $0.accessKey == name } }
        let claim = try verifier.claim(of: request, now: moment)
        return try verifier.verify(claim, of: request, bodyHash: SHA256.hash(data: body), now: moment)
    }

    /// The refusal's kind, or nil where it is let in.
    func refusal(keys: [SigningKey]? = nil, now: Int64? = nil) -> SignatureRefusal.Kind? {
        do throws(SignatureRefusal) { _ = try check(keys: keys, now: now) } catch { return error.kind }
        return nil
    }

    /// Changed, and not signed again.
    func changed(_ change: (inout Signed) -> Void) -> Signed {
        var other = self
        change(&other)
        return other
    }

    mutating func set(_ name: String, _ value: String?) {
        request.headers.removeAll { $0.name == name }
        if let value { request.headers.append((name, value)) }
    }

    func header(_ name: String) -> String { request.single(name) ?? "" }
}

extension Signed {
    static let date = "20260301T101112Z"

    /// A request of a person who has a key, signed here.
    static func plain(
        path: String = "/model/smollm2/converse", query: String = "", body: String = "{}", date: String = Signed.date, extra: [(String, String)] = [],
        key: SigningKey = SigningKey(accessKey: "AKIDONE", secret: "secret one"), service: String = "bedrock"
    ) -> Signed {
        var headers = [("host", "127.0.0.1:8080"), ("content-type", "application/json"), ("x-amz-date", date)] + extra
        if let token = key.sessionToken { headers.append(("x-amz-security-token", token)) }
        let request = WireRequest(method: "POST", path: path, query: query, headers: headers.map { (name: $0.0, value: $0.1) })
        var signed = Signed(request: request, body: Array(body.utf8), key: key, now: SigningDate(date)?.seconds ?? 0)
        signed.sign(service: service)
        return signed
    }

    /// Signs what stands there, leaving out headers in `without`.
    mutating func sign(service: String = "bedrock", without: Set<String> = []) {
        set("authorization", nil)
        let names = Set(request.headers.map(\.name)).subtracting(without).sorted()
        let date = header("x-amz-date"), day = String(date.prefix(8))
        let hash = request.single("x-amz-content-sha256") ?? CanonicalRequest.hexadecimal(SHA256.hash(data: body))
        let canonical = CanonicalRequest(request, signedHeaders: names, bodyHash: hash)
        let scope = "\(day)/us-east-1/\(service)/aws4_request"
        var secret = SymmetricKey(data: Array(("AWS4" + key.secret).utf8))
        for step in [day, "us-east-1", service, "aws4_request"] {
            secret = SymmetricKey(data: Array(HMAC<SHA256>.authenticationCode(for: Array(step.utf8), using: secret)))
        }
        let text = "AWS4-HMAC-SHA256\n\(date)\n\(scope)\n\(canonical.hash)"
        let signature = CanonicalRequest.hexadecimal(HMAC<SHA256>.authenticationCode(for: Array(text.utf8), using: secret))
        set(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=\(key.accessKey)/\(scope), SignedHeaders=\(names.joined(separator: ";")), Signature=\(signature)")
    }

    /// As botocore signed them.
    static func byBoto(seed: Int, count: Int) throws -> [Signed] {
        struct Case: Decodable {
            var method, path, query, host, body, secret, key: String
            var headers: [[String]]
            var token: String?
            var now: Int64
        }
        return try JSONDecoder().decode([Case].self, from: Boto.script("sign.py", "\(seed)", "\(count)")).map { one in
            let headers = [("host", one.host)] + one.headers.map { ($0[0].lowercased(), $0[1]) }
            let request = WireRequest(method: one.method, path: one.path, query: one.query, headers: headers.map { (name: $0.0, value: $0.1) })
            return Signed(
                request: request, body: Array(Data(base64Encoded: one.body) ?? Data()),
                key: SigningKey(accessKey: one.key, secret: one.secret, sessionToken: one.token), now: one.now)
        }
    }
}
