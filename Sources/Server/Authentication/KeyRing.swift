internal import Crypto
internal import FoundationEssentials
internal import HTTPTypes

/// Who may ask: the keys of a file. Of a bearer key only a salted SHA-256 is kept; keys have 256 bits of chance, so a slow hash would add nothing.
///
/// ```json
/// {"keys": [{"name": "alice", "hash": "sha256:SALT:DIGEST", "requests_per_minute": 60, "tokens_per_minute": 100000, "concurrent": 4,
///            "priority": true, "access_key": "AKIA...", "secret_key": "...", "session_token": "...", "expires": 1800000000}]}
/// ```
/// A key has a `hash`, or an `access_key` and `secret_key` for requests that are signed, or both. A signature is checked by making it again, so
/// the secret stands there in the clear, and only the file's owner may be able to read the file. `expires` is in Unix seconds.
public struct KeyRing: Sendable {
    /// One client.
    struct Key: Sendable, Hashable {
        var client: Client
        var hash: KeyHash?
        var accessKey: String?
        var secretKey: String?
        /// What signed requests carry beside; nil for nothing.
        var sessionToken: String?
        /// Unix seconds from which it lets nobody in.
        var expires: Int64?
    }
    let keys: [Key]
    private let byAccessKey: [String: Key]

    /// - Parameter file: its name in messages.
    /// - Throws: `ServerError` on the first thing that is wrong, and where.
    public init(json: [UInt8], file: String) throws(ServerError) {
        let records: File
        do { records = try JSONDecoder().decode(File.self, from: Data(json)) } catch {
            throw ServerError("\(file): \(Misreading(error)?.words ?? "is not a file of keys"); write {\"keys\": [{\"name\", \"hash\"}]}, or use `baton keys add`")
        }
        var keys: [Key] = []
        for record in records.keys {
            let key = try record.key(file)
            guard !keys.contains(where: { $0.client.name == key.client.name }) else {
                throw ServerError("\(file): there are two keys named \(key.client.name); give each a name of its own")
            }
            guard key.accessKey == nil || !keys.contains(where: { $0.accessKey == key.accessKey }) else {
                throw ServerError("\(file): the access_key of \(key.client.name) is another key's too; give each its own")
            }
            keys.append(key)
        }
        guard !keys.isEmpty else { throw ServerError("\(file): holds no keys; add one with `baton keys add`") }
        self.keys = keys
        byAccessKey = Dictionary(keys.compactMap { key in key.accessKey.map { ($0, key) } }) { first, _ in first }
    }

    /// The key that `token` is. Takes as long for a wrong one as for a right one.
    func key(for token: Substring) -> Key? {
        guard token.utf8.count <= 512 else { return nil }
        var found: Key?
        for key in keys where key.hash?.matches(token) == true { found = key }
        return found
    }

    /// Whether the file has secrets in the clear.
    public var holdsSecrets: Bool { keys.contains { $0.secretKey != nil } }

    /// The key that signs as `accessKey`.
    func key(accessKey: String) -> Key? { byAccessKey[accessKey] }

    struct File: Codable {
        var keys: [Record]
    }

    /// One key as it stands in the file.
    struct Record: Codable {
        var name: String
        var hash: String?
        var requestsPerMinute: Int?
        var tokensPerMinute: Int?
        var concurrent: Int?
        var priority: Bool?
        var accessKey: String?
        var secretKey: String?
        var sessionToken: String?
        var expires: Int64?

        enum CodingKeys: String, CodingKey {
            case name, hash, concurrent, priority, expires
            case requestsPerMinute = "requests_per_minute"
            case tokensPerMinute = "tokens_per_minute"
            case accessKey = "access_key"
            case secretKey = "secret_key"
            case sessionToken = "session_token"
        }

        func key(_ file: String) throws(ServerError) -> Key {
            guard !name.isEmpty else { throw ServerError("\(file): a key has an empty name; give it one") }
            var digest: KeyHash?
            if let hash {
                guard let read = KeyHash(hash) else { throw ServerError("\(file): the hash of \(name) is not sha256:SALT:DIGEST in hexadecimal; make one with `baton keys add`") }
                digest = read
            }
            guard digest != nil || (accessKey != nil && secretKey != nil) else {
                throw ServerError("\(file): \(name) has neither a hash nor an access_key with its secret_key; give one of them")
            }
            guard (accessKey == nil) == (secretKey == nil), accessKey?.isEmpty != true, secretKey?.isEmpty != true else {
                throw ServerError("\(file): \(name) has one of access_key and secret_key, or an empty one; give both or neither")
            }
            guard accessKey?.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == "-") }) != false else {
                throw ServerError("\(file): the access_key of \(name) has other than letters, digits, - and _; give another")
            }
            for (limit, what) in [(requestsPerMinute, "requests_per_minute"), (tokensPerMinute, "tokens_per_minute"), (concurrent, "concurrent")] {
                if let limit, limit < 1 { throw ServerError("\(file): \(what) of \(name) is \(limit); give at least 1, or leave it out") }
            }
            var client = Client(name: name, mayHavePriority: priority ?? false)
            client.limits = ClientLimits(requestsPerMinute: requestsPerMinute, tokensPerMinute: tokensPerMinute, concurrent: concurrent)
            return Key(
                client: client, hash: digest, accessKey: accessKey, secretKey: secretKey, sessionToken: sessionToken, expires: expires)
        }
    }
}

/// A salted SHA-256 of a bearer key.
struct KeyHash: Sendable, Hashable, CustomStringConvertible {
    private let salt: [UInt8]
    private let digest: [UInt8]

    /// Of `token`, with fresh salt.
    init(of token: String) {
        salt = (0..<16).map { _ in UInt8.random(in: 0...255) }
        digest = Self.digest(salt, token)
    }

    /// From `sha256:SALT:DIGEST`.
    init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "sha256", let salt = Self.bytes(parts[1]), let digest = Self.bytes(parts[2]), digest.count == 32 else { return nil }
        self.salt = salt
        self.digest = digest
    }

    var description: String { "sha256:\(Self.hex(salt)):\(Self.hex(digest))" }

    /// In constant time.
    func matches(_ token: some StringProtocol) -> Bool {
        zip(digest, Self.digest(salt, token)).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }

    private static func digest(_ salt: [UInt8], _ token: some StringProtocol) -> [UInt8] { Array(SHA256.hash(data: salt + Array(token.utf8))) }

    static func hex(_ bytes: [UInt8]) -> String {
        bytes.map { byte in
            let text = String(byte, radix: 16)
            return text.count == 1 ? "0" + text : text
        }.joined()
    }

    private static func bytes(_ text: Substring) -> [UInt8]? {
        guard text.utf8.count % 2 == 0, text.utf8.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }) else { return nil }
        var bytes: [UInt8] = []
        var rest = text[...]
        while !rest.isEmpty {
            guard let byte = UInt8(rest.prefix(2), radix: 16) else { return nil }
            bytes.append(byte)
            rest = rest.dropFirst(2)
        }
        return bytes
    }
}
