import Crypto
import FoundationEssentials
import Glibc

/// A public Ed25519 key of somebody whose word counts. Written as one line, `ed25519:` and base64.
public struct TrustKey: Sendable, Hashable, Encodable, CustomStringConvertible {
    /// 32 bytes.
    public let bytes: [UInt8]
    private static let prefix = "ed25519:"

    public init?(_ text: String) {
        let word = text.split(whereSeparator: \.isWhitespace).first.map(String.init) ?? ""
        guard word.hasPrefix(Self.prefix), let data = Data(base64Encoded: String(word.dropFirst(Self.prefix.count))), data.count == 32 else { return nil }
        bytes = Array(data)
    }

    init(bytes: [UInt8]) { self.bytes = bytes }

    /// A key as a list gives it: the key itself, or the path of a file that holds it, from `folder` where it is relative.
    public init(naming text: String, folder: String) throws(DriverError) {
        if text.hasPrefix(Self.prefix) {
            guard let key = TrustKey(text) else {
                throw DriverError(.invalidArgument, driver: text, call: "key", detail: "is not a public key; it is ed25519: and the base64 of 32 bytes")
            }
            self = key
        } else { try self.init(reading: text.hasPrefix("/") ? text : folder + "/" + text) }
    }

    /// The key in the file at `path`, which is absolute.
    public init(reading path: String) throws(DriverError) {
        func fail(_ words: String) -> DriverError { DriverError(.invalidArgument, driver: path, call: "key", detail: words) }
        let text = String(decoding: try SmallFile.read(path, limit: 4_096, fail), as: UTF8.self)
        guard let key = TrustKey(text) else {
            throw fail(text.hasPrefix(SigningKey.prefix) ? "is a private key, where the public one is wanted (.pub)" : "is not a public key; `baton driver keygen` makes one")
        }
        self = key
    }

    public var description: String { Self.prefix + Data(bytes).base64EncodedString() }
    /// The first 16 hexadecimal digits of the key's sha256, by which people tell keys apart.
    public var id: String { String(SHA256.hash(data: bytes).hex.prefix(16)) }

    /// Whether `signature` is this key's over `message`.
    public func signed(_ message: [UInt8], signature: [UInt8]) -> Bool {
        guard let key = try? Curve25519.Signing.PublicKey(rawRepresentation: bytes) else { return false }
        return key.isValidSignature(signature, for: message)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(id)
    }
}

/// A private Ed25519 key. Written as one line, `ed25519-private:` and base64, in a file that its owner alone may read.
public struct SigningKey: Sendable {
    static let prefix = "ed25519-private:"
    private let seed: [UInt8]
    public let publicKey: TrustKey

    /// A new one.
    public init() {
        let key = Curve25519.Signing.PrivateKey()
        seed = Array(key.rawRepresentation)
        publicKey = TrustKey(bytes: Array(key.publicKey.rawRepresentation))
    }

    /// The key in the file at `path`.
    /// - Throws: that it is no private key, or that others than its owner may read it.
    public init(reading path: String) throws(DriverError) {
        func fail(_ words: String) -> DriverError { DriverError(.invalidArgument, driver: path, call: "key", detail: words) }
        var status = stat()
        if stat(path, &status) == 0, status.st_mode & (S_IRWXG | S_IRWXO) != 0 { throw fail("others than its owner may read this private key; chmod 600 \(path)") }
        let text = String(decoding: try SmallFile.read(path, limit: 4_096, fail), as: UTF8.self)
        let word = text.split(whereSeparator: \.isWhitespace).first.map(String.init) ?? ""
        guard word.hasPrefix(Self.prefix), let data = Data(base64Encoded: String(word.dropFirst(Self.prefix.count))),
            let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: data)
        else { throw fail(TrustKey(text) == nil ? "is not a private key; `baton driver keygen` makes one" : "is a public key, where the private one is wanted") }
        seed = Array(data)
        publicKey = TrustKey(bytes: Array(key.publicKey.rawRepresentation))
    }

    public func sign(_ message: [UInt8]) -> [UInt8] {
        guard let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: seed), let signature = try? key.signature(for: message) else { return [] }
        return Array(signature)
    }

    /// Writes `<stem>.key` (mode 0600) and `<stem>.pub`; refuses to overwrite either.
    public func write(stem: String) throws(DriverError) -> (key: String, pub: String) {
        let (key, pub) = (stem + ".key", stem + ".pub")
        try Self.create(key, Self.prefix + Data(seed).base64EncodedString() + "\n", mode: 0o600)
        try Self.create(pub, publicKey.description + "\n", mode: 0o644)
        return (key, pub)
    }

    private static func create(_ path: String, _ text: String, mode: mode_t) throws(DriverError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard descriptor >= 0 else {
            throw DriverError(.alreadyExists, driver: path, call: "key", detail: "cannot be made: \(String(cString: strerror(errno))); a key is never overwritten")
        }
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        guard Glibc.write(descriptor, bytes, bytes.count) == bytes.count else {
            throw DriverError(.resourceExhausted, driver: path, call: "key", detail: "cannot be written: \(String(cString: strerror(errno)))")
        }
    }
}
