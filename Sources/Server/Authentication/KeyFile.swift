internal import FoundationEssentials

/// The text of a file of keys, to add to.
public struct KeyFile: Sendable {
    private var file = KeyRing.File(keys: [])

    public struct Limits: Sendable {
        var requestsPerMinute: Int?
        var tokensPerMinute: Int?
        var concurrent: Int?

        public init(requestsPerMinute: Int? = nil, tokensPerMinute: Int? = nil, concurrent: Int? = nil) {
            self.requestsPerMinute = requestsPerMinute
            self.tokensPerMinute = tokensPerMinute
            self.concurrent = concurrent
        }
    }

    public init() {}

    /// - Throws: as `KeyRing` does.
    public init(json: [UInt8], file name: String) throws(ServerError) {
        _ = try KeyRing(json: json, file: name)
        do { file = try JSONDecoder().decode(KeyRing.File.self, from: Data(json)) } catch { throw ServerError("\(name): \(error)") }
    }

    public var names: [String] { file.keys.map(\.name) }

    /// Makes a key of 256 bits of chance for `name`. Gives it; the file keeps its hash.
    public mutating func add(_ name: String, limits: Limits = Limits(), mayHavePriority: Bool = false) throws(ServerError) -> String {
        guard !names.contains(name) else { throw ServerError("there is a key named \(name) already; give another name") }
        let token = "baton-" + KeyHash.hex((0..<32).map { _ in UInt8.random(in: 0...255) })
        let record = KeyRing.Record(
            name: name, hash: KeyHash(of: token).description, requestsPerMinute: limits.requestsPerMinute,
            tokensPerMinute: limits.tokensPerMinute, concurrent: limits.concurrent, priority: mayHavePriority ? true : nil)
        _ = try record.key("the new key")
        file.keys.append(record)
        return token
    }

    /// Makes an access key and a secret key of 240 bits of chance for `name`, to sign requests with. The file keeps both in the clear.
    public mutating func addSigning(
        _ name: String, limits: Limits = Limits(), mayHavePriority: Bool = false
    ) throws(ServerError) -> (accessKey: String, secretKey: String) {
        guard !names.contains(name) else { throw ServerError("there is a key named \(name) already; give another name") }
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
        let accessKey = "BATN" + String((0..<16).map { _ in letters[Int.random(in: 0..<32)] })
        let secretKey = KeyHash.hex((0..<30).map { _ in UInt8.random(in: 0...255) })
        let record = KeyRing.Record(
            name: name, hash: nil, requestsPerMinute: limits.requestsPerMinute, tokensPerMinute: limits.tokensPerMinute,
            concurrent: limits.concurrent, priority: mayHavePriority ? true : nil, accessKey: accessKey, secretKey: secretKey)
        _ = try record.key("the new key")
        file.keys.append(record)
        return (accessKey, secretKey)
    }

    public func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(file), as: UTF8.self) + "\n"
    }
}
