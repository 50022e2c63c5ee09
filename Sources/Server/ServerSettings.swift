/// Where a server listens, and what it puts up with.
public struct ServerSettings: Sendable {
    public var host = "127.0.0.1"
    /// 0 for any that is free.
    public var port = 8080
    /// PEM files; nil serves plain HTTP.
    public var tls: TLSFiles?
    /// Bytes of a request's body at most.
    public var maxBodyBytes = 4 << 20
    /// Bytes of one header field at most; of all, twice that.
    public var maxHeaderBytes = 16 << 10
    public var maxHeaders = 100
    public var maxConnections = 1024
    /// Completions of one request at most: `n`, or prompts times `n`.
    public var maxChoices = 16
    /// Tokens made at most where a request does not say.
    public var defaultMaxTokens = 1024
    /// How long what runs may go on after SIGTERM.
    public var drainLimit = Duration.seconds(60)
    public var timeouts = Timeouts()

    public struct TLSFiles: Sendable {
        public var certificate: String
        public var key: String
        public init(certificate: String, key: String) { (self.certificate, self.key) = (certificate, key) }
    }

    /// How long a client may take.
    public struct Timeouts: Sendable {
        /// From the connection to the end of the first request's headers; between requests of one connection.
        public var head = Duration.seconds(10)
        public var idle = Duration.seconds(75)
        /// From the end of the headers to the end of the body.
        public var body = Duration.seconds(30)
        /// Without reading anything of an answer that waits for it.
        public var stall = Duration.seconds(30)
        public init() {}
    }

    public init() {}

    /// Whether only this machine can reach it.
    public var isLoopback: Bool { Self.isLoopback(host) }

    static func isLoopback(_ host: String) -> Bool {
        if host == "localhost" || host == "::1" || host == "[::1]" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
        return parts.count == 4 && parts[0] == 127 && !parts.contains(nil)
    }
}
