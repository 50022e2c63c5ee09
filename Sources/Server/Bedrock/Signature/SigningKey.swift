/// A pair of access key and secret that requests may be signed with. The secret has to be known, not its hash: a signature is checked by
/// making it again.
struct SigningKey: Sendable, Hashable {
    var accessKey: String
    var secret: String
    /// What `x-amz-security-token` must be; nil when there must be none.
    var sessionToken: String?
    /// Seconds since 1970 from which it lets nobody in; nil for never.
    var expires: Int64?
}
