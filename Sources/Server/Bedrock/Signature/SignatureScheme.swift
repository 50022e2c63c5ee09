internal import Crypto
internal import Glibc
internal import HTTPTypes
internal import NIOCore
internal import Synchronization

/// `Authorization: AWS4-HMAC-SHA256 ...`: requests that are signed with a key's `access_key` and `secret_key`. One for each server, since
/// it remembers what was used; not across restarts. Any thread.
final class SignatureScheme: AuthenticationScheme {
    let needsBody = true
    private let now: @Sendable () -> Int64
    private let used = Mutex(ReplayLedger())

    /// - Parameter now: seconds since 1970.
    init(now: @escaping @Sendable () -> Int64 = { Int64(time(nil)) }) { self.now = now }

    func claims(_ head: HTTPRequest) -> Bool {
        if head.headerFields[.authorization]?.hasPrefix("AWS4-") == true { return true }
        return (head.path ?? "").lowercased().contains("x-amz-signature=")
    }

    func precheck(_ head: HTTPRequest, in keys: KeyRing) throws(Refusal) {
        do throws(SignatureRefusal) { _ = try verifier(keys).claim(of: WireRequest(head), now: now()) } catch { throw Refusal(error) }
    }

    func key(of request: ReceivedRequest, in keys: KeyRing) throws(Refusal) -> KeyRing.Key {
        do throws(SignatureRefusal) { return try proven(request, keys) } catch { throw Refusal(error) }
    }

    private func proven(_ request: ReceivedRequest, _ keys: KeyRing) throws(SignatureRefusal) -> KeyRing.Key {
        let wire = WireRequest(request.head), now = now(), verifier = verifier(keys)
        let claim = try verifier.claim(of: wire, now: now)
        var hash = SHA256()
        request.body.withUnsafeReadableBytes { hash.update(bufferPointer: $0) }
        let signer = try verifier.verify(claim, of: wire, bodyHash: hash.finalize(), now: now)
        guard let key = keys.key(accessKey: signer.accessKey) else {
            throw SignatureRefusal(.unrecognized, "the access key is not known here; use one of the key file's")
        }
        let refusal: SignatureRefusal? = used.withLock { ledger in
            do throws(SignatureRefusal) { try ledger.use(claim, of: wire, now: now) } catch { return error }
            return nil
        }
        if let refusal { throw refusal }
        return key
    }

    private func verifier(_ keys: KeyRing) -> SignatureVerifier {
        SignatureVerifier { keys.key(accessKey: $0)?.signing }
    }
}

extension WireRequest {
    /// The server's view of a head keeps `Host` apart.
    init(_ head: HTTPRequest) {
        let target = head.path ?? "/"
        let path = target.prefix { $0 != "?" }
        method = head.method.rawValue
        self.path = String(path)
        query = String(target.dropFirst(path.count + 1))
        headers = (head.authority.map { [(name: "host", value: $0)] } ?? []) + head.headerFields.map { ($0.name.canonicalName, $0.value) }
    }
}

extension KeyRing.Key {
    /// What it signs with, where it may.
    var signing: SigningKey? {
        guard let accessKey, let secretKey else { return nil }
        return SigningKey(accessKey: accessKey, secret: secretKey, sessionToken: sessionToken, expires: expires)
    }
}

extension Refusal {
    init(_ refusal: SignatureRefusal) {
        let kind: Kind =
            switch refusal.kind {
            case .missing: .anonymous
            case .throttled: .limited
            case .incomplete, .unrecognized, .invalid, .expired: .unauthenticated
            }
        self.init(kind, refusal.words)
        signature = refusal
    }
}
