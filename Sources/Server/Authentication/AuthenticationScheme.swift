internal import HTTPTypes
internal import NIOCore

/// One way in which a request says whose it is.
protocol AuthenticationScheme: Sendable {
    /// Whether the request carries credentials of this scheme; then no other scheme is asked.
    func claims(_ head: HTTPRequest) -> Bool
    /// Whether `key(of:in:)` looks at the body. Without it the key is checked before a byte of the body is read.
    var needsBody: Bool { get }
    /// Refuses by the head alone what needs no look at the body.
    func precheck(_ head: HTTPRequest, in keys: KeyRing) throws(Refusal)
    /// The key that the credentials prove. Compares secrets in constant time.
    /// - Throws: `unauthenticated` or `forbidden`, in words that do not help to guess.
    func key(of request: ReceivedRequest, in keys: KeyRing) throws(Refusal) -> KeyRing.Key
}

extension AuthenticationScheme {
    func precheck(_ head: HTTPRequest, in keys: KeyRing) throws(Refusal) {}
}

/// A request as it came: what signatures are made over.
struct ReceivedRequest: Sendable {
    /// Method and all headers. `head.path` is the path and query exactly as sent.
    var head: HTTPRequest
    /// Empty unless the scheme needs it.
    var body: ByteBuffer
}
