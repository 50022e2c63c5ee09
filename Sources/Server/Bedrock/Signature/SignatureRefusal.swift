/// Why a signature, or the lack of one, lets nobody in. The names are AWS's; `words` is one line.
struct SignatureRefusal: Error, Hashable, CustomStringConvertible {
    enum Kind: String, CaseIterable, Sendable {
        /// There is no `Authorization` header.
        case missing = "MissingAuthenticationTokenException"
        /// It cannot be read, or lacks a part.
        case incomplete = "IncompleteSignatureException"
        /// The access key, or the session token beside it, is not known here.
        case unrecognized = "UnrecognizedClientException"
        /// It does not fit the request, is too old or too new, or was used before.
        case invalid = "InvalidSignatureException"
        /// The key is known and has expired.
        case expired = "ExpiredTokenException"
        /// More signatures are remembered than there is room for.
        case throttled = "ThrottlingException"
    }
    var kind: Kind
    var words: String

    init(_ kind: Kind, _ words: String) {
        self.kind = kind
        self.words = words
    }

    var description: String { words }
}
