import Crypto

/// Checks AWS Signature Version 4. A value: it holds keys, no clock and no memory of what it has seen.
///
/// In two steps, so that what can be refused by the head alone is refused before the body is read.
struct SignatureVerifier: Sendable {
    /// Seconds by which the date of a signature may differ from the clock here, either way.
    static let window: Int64 = 300

    private let keys: @Sendable (String) -> SigningKey?
    /// What a signature must be scoped to.
    private let service: String

    /// - Parameter keys: the key of an access key id.
    init(service: String = "bedrock", keys: @escaping @Sendable (String) -> SigningKey?) {
        self.service = service
        self.keys = keys
    }

    /// Reads the claim and checks all of it but the signature.
    /// - Parameter now: seconds since 1970.
    func claim(of request: WireRequest, now: Int64) throws(SignatureRefusal) -> SignatureClaim {
        let claim = try SignatureClaim(request)
        guard claim.service == service else {
            throw SignatureRefusal(.invalid, "Credential is scoped to service \(SignatureClaim.shown(claim.service)); scope it to \(service)")
        }
        let age = now - claim.date.seconds
        guard age <= Self.window else {
            throw SignatureRefusal(.invalid, "Signature expired: it is of \(claim.date.text), \(age) s ago, and \(Self.window) s are the most; sign again")
        }
        guard -age <= Self.window else {
            throw SignatureRefusal(.invalid, "Signature not yet current: it is of \(claim.date.text), \(-age) s from now; set the clock and sign again")
        }
        _ = try key(claim, request, now: now)
        return claim
    }

    /// Checks the signature over head and body. Gives the key that made it.
    /// - Parameter bodyHash: SHA-256 of the body as it came.
    func verify(_ claim: SignatureClaim, of request: WireRequest, bodyHash: SHA256.Digest, now: Int64) throws(SignatureRefusal) -> SigningKey {
        let key = try key(claim, request, now: now)
        let hash = CanonicalRequest.hexadecimal(bodyHash)
        if let stated = claim.statedHash, stated != hash {
            throw SignatureRefusal(.invalid, "x-amz-content-sha256 is not the body's; send the body that was signed")
        }
        let canonical = CanonicalRequest(request, signedHeaders: claim.signedHeaders, bodyHash: hash)
        let signed = [SignatureClaim.algorithm, claim.date.text, claim.scope, canonical.hash].joined(separator: "\n")
        let isTrue = HMAC<SHA256>.isValidAuthenticationCode(
            claim.signature, authenticating: Array(signed.utf8), using: Self.signingKey(key.secret, claim))
        guard isTrue else {
            throw SignatureRefusal(.invalid, "the signature does not match the request; check the secret key and send what was signed")
        }
        return key
    }

    private func key(_ claim: SignatureClaim, _ request: WireRequest, now: Int64) throws(SignatureRefusal) -> SigningKey {
        guard let key = keys(claim.accessKey) else {
            throw SignatureRefusal(.unrecognized, "the access key \(SignatureClaim.shown(claim.accessKey)) is not known here; use one of the key file's")
        }
        let tokens = request.values("x-amz-security-token")
        guard tokens.count <= 1, Self.equal(tokens.first, key.sessionToken) else {
            throw SignatureRefusal(.unrecognized, "x-amz-security-token is not this access key's; use the key file's, or none where it has none")
        }
        if let expires = key.expires, now >= expires {
            throw SignatureRefusal(.expired, "the access key \(SignatureClaim.shown(claim.accessKey)) has expired; ask for a new one")
        }
        return key
    }

    /// In a time that does not tell where they differ.
    private static func equal(_ one: String?, _ other: String?) -> Bool {
        guard let one, let other else { return one == nil && other == nil }
        return SHA256.hash(data: Array(one.utf8)) == SHA256.hash(data: Array(other.utf8))
    }

    private static func signingKey(_ secret: String, _ claim: SignatureClaim) -> SymmetricKey {
        let steps = [String(claim.date.day), claim.region, claim.service, "aws4_request"]
        return steps.reduce(SymmetricKey(data: Array("AWS4\(secret)".utf8))) { key, step in
            SymmetricKey(data: Array(HMAC<SHA256>.authenticationCode(for: Array(step.utf8), using: key)))
        }
    }
}
