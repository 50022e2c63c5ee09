import ArgumentParser
import Driver
import Engine
import FoundationEssentials
import Model

struct Attest: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Says in one signed document what would run: the sha256 of program, drivers, manifest and model.",
        subcommands: [AttestMake.self, AttestVerify.self], defaultSubcommand: AttestMake.self)
}

struct AttestMake: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "make",
        abstract: "Makes the document for a manifest (the default).",
        discussion: """
            The devices are opened, so that every driver is there, also those that drivers open. Whoever asks gives a nonce, so that no older document will do.
            The document is JSON in its canonical form, signed with Ed25519; the key is --key, or the file that BATON_ATTEST_KEY names.

            EXAMPLES
              baton driver keygen attest
              baton attest Examples/disaggregated.yaml --nonce 5f3a91c7 --key attest.key > attestation.json
              baton attest verify attestation.json --key attest.pub --nonce 5f3a91c7
            """)

    @Argument(help: "The manifest.", completion: .file(extensions: ["yaml", "json"])) var manifest: String
    @Option(help: "What the caller gave, in hexadecimal.") var nonce: String
    @Option(help: "The private key.", completion: .file(extensions: ["key"])) var key: String?
    @Flag(help: "The document is always JSON; this changes nothing.") var json = false

    func run() throws {
        try Failure.wrapping {
            let named = key ?? ProcessInfo.processInfo.environment["BATON_ATTEST_KEY"]
            let signer = try named.map { try SigningKey(reading: Files.absolute($0, against: Files.currentDirectory)) }
            let path = Files.absolute(manifest, against: Files.currentDirectory)
            let before = try Attestation.Attested(path, called: manifest)
            let session = try Session(manifest: manifest)
            var devices: [(name: String, driver: String)] = []
            for part in try session.parts() {
                try Device(opening: part.library, label: part.device.label, options: part.device.options).quiesce(nanoseconds: 0)
                devices.append((part.device.label, part.library.name))
            }
            guard try Attestation.Attested(path, called: manifest).sha256 == before.sha256 else {
                throw Failure(code: 1, "\(manifest): was changed while it was read; attest it again")
            }
            let attestation = try Attestation(
                nonce: nonce, program: .init("/proc/self/exe", called: "baton"), programVersion: Baton.configuration.version, manifest: before,
                model: .init(session.model.path, called: session.model.name), devices: devices, report: session.catalog.report, key: signer)
            if signer == nil { Terminal.note("baton: nobody signs this document; give --key FILE, as `baton driver keygen` makes it") }
            Terminal.line(attestation.text)
        }
    }
}

struct AttestVerify: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Verifies a document against a public key, and prints what it says.",
        discussion: """
            EXAMPLES
              baton attest verify attestation.json --key attest.pub --nonce 5f3a91c7

            EXIT CODES
              0 it is what the key's owner said    1 it is not    2 the document or the key cannot be read
            """)

    @Argument(help: "The document.", completion: .file(extensions: ["json"])) var file: String
    @Option(help: "The public key, or the file that holds it.", completion: .file(extensions: ["pub"])) var key: String
    @Option(help: "The nonce that was given, in hexadecimal.") var nonce: String?

    func run() throws {
        let attestation: Attestation
        let signer: TrustKey
        do {
            attestation = try Attestation(contentsOf: Files.absolute(file, against: Files.currentDirectory))
            signer = try TrustKey(naming: key, folder: Files.currentDirectory)
        } catch { throw Failure(code: 2, error.description) }
        try Failure.wrapping { try attestation.verify(by: signer, nonce: nonce, of: file) }
        for line in attestation.lines { Terminal.line(line) }
        Terminal.line("signed by \(signer.id)\(nonce == nil ? ", and no nonce was asked for" : ", with this nonce")")
    }
}
