internal import Glibc
internal import HTTPTypes

/// `Authorization: Bearer KEY`.
struct BearerScheme: AuthenticationScheme {
    let needsBody = false

    func claims(_ head: HTTPRequest) -> Bool { token(head) != nil }

    func key(of request: ReceivedRequest, in keys: KeyRing) throws(Refusal) -> KeyRing.Key {
        guard let token = token(request.head), let key = keys.key(for: token) else {
            throw Refusal(.unauthenticated, "the API key is not known here; check it, or ask whoever runs this server for one")
        }
        if let expires = key.expires, Int64(time(nil)) >= expires {
            throw Refusal(SignatureRefusal(.expired, "the API key has expired; ask whoever runs this server for a new one"))
        }
        return key
    }

    private func token(_ head: HTTPRequest) -> Substring? {
        guard let value = head.headerFields[.authorization], value.prefix(7).lowercased() == "bearer " else { return nil }
        return value.dropFirst(7).drop { $0 == " " }
    }
}
