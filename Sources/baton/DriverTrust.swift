import ArgumentParser
import Driver

struct DriverKeygen: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keygen",
        abstract: "Makes an Ed25519 key pair: NAME.key to sign with, NAME.pub for others.",
        discussion: """
            The private key is readable by its owner alone. Neither file is ever overwritten. The public key, a line, goes into the operator's file or
            a manifest's `trust: {keys: [...]}`.

            EXAMPLES
              baton driver keygen acme
              baton driver keygen ~/.config/baton/attest
            """)

    @Argument(help: "The path of both files, without their ending.") var name: String

    func run() throws {
        try Failure.wrapping {
            let key = SigningKey()
            let files = try key.write(stem: Files.absolute(name, against: Files.currentDirectory))
            Terminal.line("\(files.key)  keep it to yourself")
            Terminal.line("\(files.pub)  \(key.publicKey)  id \(key.publicKey.id)")
        }
    }
}

struct DriverSign: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sign",
        abstract: "Pins a library's sha256 and ABI in its driver manifest, and signs them.",
        discussion: """
            The manifest is NAME.driver.json beside libbaton-NAME.so; it is made where there is none, and its other keys stay. What is signed: name, sha256,
            ABI range and capabilities, the interfaces the driver may be used by. None of the driver's code runs. Without --key the hash is pinned alone.

            EXAMPLES
              baton driver sign ./libbaton-acme.so --key acme.key
              baton driver sign ./acme.driver.json --key acme.key --capability baton.kv --capability baton.cost
              baton driver sign ./libbaton-acme.so
            """)

    @Argument(help: "The driver's library, or its manifest.", completion: .file(extensions: ["so", "json"])) var file: String
    @Option(help: "The private key.", completion: .file(extensions: ["key"])) var key: String?
    @Option(help: "An interface the driver may be used by; repeat it. Without any, the manifest's own, or no limit.") var capability: [String] = []

    func run() throws {
        try Failure.wrapping {
            let path = Files.absolute(file, against: Files.currentDirectory)
            let signer = try key.map { try SigningKey(reading: Files.absolute($0, against: Files.currentDirectory)) }
            var manifest = try DriverManifest(describing: path)
            if !capability.isEmpty { manifest.capabilities = Set(capability).sorted() }
            manifest.signature = nil
            if let signer { try manifest.sign(by: signer) }
            let target = path.hasSuffix(".json") ? path : DriverManifest.path(beside: path)
            try manifest.write(to: target)
            let by = signer.map { "signed by key \($0.publicKey.id)" } ?? "not signed"
            Terminal.line("\(target)  \(manifest.name), ABI \(manifest.abi.map(\.description) ?? "?"), sha256 \(manifest.sha256 ?? "?"), \(by)")
        }
    }
}

struct DriverVerify: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Says whether a driver would be loaded, and what is known of it, without running any of its code.",
        discussion: """
            Read are the library's file, its ELF note and its manifest; checked are machine, ABI, sha256, signature, and that nobody else may write to them.
            Without --key, the operator's list counts. A library is looked at through the manifest beside it, where there is one.

            EXAMPLES
              baton driver verify ./acme.driver.json --key acme.pub
              baton driver verify ./libbaton-acme.so --require hash
              baton driver verify ./acme.driver.json --json

            EXIT CODES
              0 it would be loaded    1 it would be refused    2 a key or a policy cannot be read
            """)

    @Argument(help: "The driver's library, or its manifest.", completion: .file(extensions: ["so", "json"])) var file: String
    @Option(help: "A public key to accept, in place of the operator's list, or the file that holds it; requires a signature.", completion: .file(extensions: ["pub"]))
    var key: [String] = []
    @Option(help: "What to require: none, hash or signature. The operator may require more.", transform: Self.requirement) var require: TrustPolicy.Requirement?
    @Flag(help: "Print what is known as JSON.") var json = false

    func run() throws {
        let policy: TrustPolicy
        do { policy = try asked() } catch let error as DriverError { throw Failure(code: 2, error.description) }
        let path = Files.absolute(file, against: Files.currentDirectory)
        let beside = DriverManifest.path(beside: path)
        let candidate = LoadReport.Candidate.examined(!path.hasSuffix(".json") && Files.exists(beside) ? beside : path, policy: policy)
        if json {
            Terminal.line(try JSON.text(candidate))
        } else if candidate.decision != .refused { Terminal.line(words(candidate)) }
        if let error = candidate.error { throw Failure(code: 1, error) }
    }

    private static func requirement(_ word: String) throws -> TrustPolicy.Requirement {
        guard let found = TrustPolicy.Requirement(rawValue: word) else { throw ValidationError("--require is '\(word)'; it is none, hash or signature") }
        return found
    }

    private func asked() throws -> TrustPolicy {
        let standard = try TrustPolicy.standard()
        var policy = standard
        if !key.isEmpty {
            policy.keys = try key.map { try TrustKey(naming: $0, folder: Files.currentDirectory) }
            policy.sources = ["--key"]
        }
        policy.require = max(standard.require, require ?? (key.isEmpty ? .none : .signature))
        return policy
    }

    private func words(_ candidate: LoadReport.Candidate) -> String {
        let note = candidate.note.map { "\($0.name) \($0.version), ABI \($0.abi)" } ?? "no note, ABI \(candidate.driverABI ?? "?") by its manifest"
        return """
            library    \(candidate.path)
            manifest   \(candidate.manifest ?? "none")
            note       \(note)
            build id   \(candidate.buildID ?? "none")
            sha256     \(candidate.sha256 ?? "?")
            signature  \(candidate.signature ?? "unsigned")
            """
    }
}
