import FoundationEssentials

/// An Ed25519 signature over what a driver manifest says of a library: hash, ABI and capabilities.
public struct DriverSignature: Sendable, Hashable, Codable {
    /// The signer's public key, `ed25519:` and base64.
    public var key: String
    /// 64 bytes in base64.
    public var value: String

    /// What is signed: lines of text, in this order, each ended by a newline.
    public struct Statement: Sendable, Hashable {
        public var name: String
        public var sha256: String
        public var abi: ABIRange
        /// Sorted; nil where the manifest limits nothing.
        public var capabilities: [String]?

        public var bytes: [UInt8] {
            let list = capabilities.map { $0.sorted().joined(separator: ",") } ?? "*"
            return Array("baton-driver-signature-1\nname \(name)\nsha256 \(sha256)\nabi \(abi)\ncapabilities \(list)\n".utf8)
        }
    }

    public init(of statement: Statement, by key: SigningKey) {
        self.key = key.publicKey.description
        value = Data(key.sign(statement.bytes)).base64EncodedString()
    }

    /// What is found of a signature. `baton drivers --json` shows it.
    public enum State: Sendable, Hashable, CustomStringConvertible {
        /// The manifest carries none, or there is no manifest.
        case unsigned
        /// Right, and by a key of the list.
        case valid(key: String)
        /// Right, by a key that is not on the list.
        case unknownKey(key: String)
        /// Not over these bytes, or not a signature at all.
        case wrong

        public var description: String {
            switch self {
            case .unsigned: "unsigned"
            case .valid(let key): "valid, key \(key)"
            case .unknownKey(let key): "right, but key \(key) is not on the list"
            case .wrong: "wrong"
            }
        }
    }

    public func state(over statement: Statement, keys: [TrustKey]) -> State {
        guard let signer = TrustKey(key), let value = Data(base64Encoded: value), signer.signed(statement.bytes, signature: Array(value)) else { return .wrong }
        return keys.contains(signer) ? .valid(key: signer.id) : .unknownKey(key: signer.id)
    }
}
