import FoundationEssentials
import Glibc

/// What ran, in one signed document: the sha256 of the program, of every driver, of the manifest and of the model, with the caller's nonce and the time.
/// `Driver.docc/Attestation.md` gives the format.
public struct Attestation: Sendable {
    public static let format = "baton-attestation-1"
    /// Everything that is attested.
    public let document: CanonicalJSON
    /// By whom; nil for a document that nobody signed.
    public let signer: TrustKey?
    private let signature: [UInt8]?

    /// A file that is attested by its bytes.
    public struct Attested: Sendable {
        public var name: String
        public var sha256: String
        public var bytes: Int

        /// Reads the whole file at `path`.
        public init(_ path: String, called name: String) throws(DriverError) {
            let file = try FileDigest(of: path)
            self.name = name
            sha256 = file.sha256
            bytes = file.byteCount
        }

        var json: CanonicalJSON { .object(["name": .string(name), "sha256": .string(sha256), "bytes": .integer(Int64(bytes))]) }
    }

    /// - Parameters:
    ///   - nonce: what the caller gave so that nobody can show an older document; 1 to 128 bytes in hexadecimal.
    ///   - report: after the drivers were loaded; those loaded are attested.
    ///   - devices: each device's name in the manifest, and its driver.
    public init(
        nonce: String, program: Attested, programVersion: String, manifest: Attested, model: Attested, devices: [(name: String, driver: String)],
        report: LoadReport, key: SigningKey?
    ) throws(DriverError) {
        let nonce = nonce.lowercased()
        guard (2...256).contains(nonce.utf8.count), nonce.utf8.count % 2 == 0, nonce.utf8.allSatisfy({ (48...57).contains($0) || (97...102).contains($0) }) else {
            throw DriverError(.invalidArgument, driver: "-", call: "attestation", detail: "the nonce is not 1 to 128 bytes in hexadecimal, such as 00ff17")
        }
        let drivers = report.candidates.filter { $0.decision == .loaded }
        guard case .object(var programJSON) = program.json else { throw DriverError(.internal, driver: "-", call: "attestation", detail: "no program") }
        programJSON["version"] = .string(programVersion)
        document = .object([
            "format": .string(Self.format), "nonce": .string(nonce), "time": .string(Date.now.formatted(.iso8601)),
            "program": .object(programJSON), "abi": .string(ABIRange.host.description), "manifest": manifest.json, "model": model.json,
            "devices": .array(devices.map { .object(["name": .string($0.name), "driver": .string($0.driver)]) }),
            "drivers": .array(drivers.map(Self.json)),
            "trust": .object(["require": .string(report.trust.require.rawValue), "keys": .array(report.trust.keys.map { .string($0.description) })]),
        ])
        signer = key?.publicKey
        signature = key?.sign(Self.message(document))
    }

    private static func json(_ driver: LoadReport.Candidate) -> CanonicalJSON {
        .object([
            "name": .string(driver.ownName ?? driver.name), "sha256": .text(driver.sha256), "version": .text(driver.version), "vendor": .text(driver.vendor),
            "abi": .text(driver.abi), "abi_range": .text(driver.driverABI), "build": .text(driver.buildID), "signature": .text(driver.signature),
        ])
    }

    private static func message(_ document: CanonicalJSON) -> [UInt8] { Array((format + "\n" + document.text).utf8) }

    /// The file: the document, and the signature over its canonical form.
    public var text: String {
        var signed = CanonicalJSON.null
        if let signer, let signature {
            signed = .object(["algorithm": .string("Ed25519"), "key": .string(signer.description), "value": .string(Data(signature).base64EncodedString())])
        }
        return CanonicalJSON.object(["document": document, "signature": signed]).text
    }

    /// Reads a file that `text` gave. Nothing is verified yet.
    public init(contentsOf path: String) throws(DriverError) {
        func fail(_ words: String) -> DriverError { DriverError(.invalidArgument, driver: path, call: "attestation", detail: words) }
        let data = try SmallFile.read(path, limit: 1 << 20, fail)
        try self.init(reading: try CanonicalJSON(parsing: Array(data), of: path), of: path)
    }

    package init(reading value: CanonicalJSON, of path: String) throws(DriverError) {
        func fail(_ words: String) -> DriverError { DriverError(.invalidArgument, driver: path, call: "attestation", detail: words) }
        guard let document = value["document"], document["format"]?.string == Self.format else { throw fail("is not an attestation of format \(Self.format)") }
        self.document = document
        guard let signed = value["signature"], signed != .null else {
            (signer, signature) = (nil, nil)
            return
        }
        guard signed["algorithm"]?.string == "Ed25519", let key = signed["key"]?.string.flatMap({ TrustKey($0) }),
            let value = signed["value"]?.string.flatMap({ Data(base64Encoded: $0) })
        else { throw fail("its signature has no Ed25519 key and value") }
        (signer, signature) = (key, Array(value))
    }

    /// Throws unless `key` signed this very document, with `nonce` where one is given.
    public func verify(by key: TrustKey, nonce: String?, of path: String) throws(DriverError) {
        func fail(_ words: String) -> DriverError { DriverError(.unauthenticated, driver: path, call: "attestation", detail: words) }
        guard let signer, let signature else { throw fail("nobody signed it; make it with --key") }
        guard signer == key else { throw fail("it is signed by key \(signer.id), where key \(key.id) is asked for") }
        guard key.signed(Self.message(document), signature: signature) else { throw fail("its signature is wrong: the document was changed after it was signed") }
        if let nonce, document["nonce"]?.string != nonce.lowercased() {
            throw fail("its nonce is \(document["nonce"]?.string ?? "missing"), where \(nonce.lowercased()) is asked for: it answers another question")
        }
    }

    /// What it says, a line each, for people.
    public var lines: [String] {
        func named(_ value: CanonicalJSON?) -> String { "\(value?["name"]?.string ?? "?") sha256 \(value?["sha256"]?.string ?? "?")" }
        var lines = ["time      \(document["time"]?.string ?? "?")", "nonce     \(document["nonce"]?.string ?? "?")"]
        for key in ["program", "manifest", "model"] { lines.append(key.padded(to: 10) + named(document[key])) }
        if case .array(let drivers)? = document["drivers"] {
            lines += drivers.map { "driver    \(named($0)), ABI \($0["abi"]?.string ?? "?"), \($0["signature"]?.string ?? "unsigned")" }
        }
        return lines.map { $0.split(whereSeparator: \.isNewline).joined(separator: " ") }
    }
}

extension String {
    fileprivate func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
