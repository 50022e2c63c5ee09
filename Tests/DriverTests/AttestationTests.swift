import BuildKit
import Testing

@testable import Driver

/// The document that says what ran, and what changes of it are noticed.
@Suite("Attestation", .needsCompiler)
struct AttestationTests {
    let folder: TemporaryFolder
    let key = SigningKey()
    init() throws { folder = try TemporaryFolder() }

    private func made(nonce: String = "00FF17", by key: SigningKey?) throws -> Attestation {
        let library = try SharedLibrary.driver("old", in: folder)
        let catalog = Catalogs.make()
        _ = try catalog.load(library)
        let file = try Attestation.Attested(try folder.write("abc", to: "m.yaml"), called: "m.yaml")
        return try Attestation(
            nonce: nonce, program: file, programVersion: "1.0.0", manifest: file, model: file, devices: [("host", "old")], report: catalog.report, key: key)
    }

    private func read(_ text: String) throws -> Attestation { try Attestation(contentsOf: try folder.write(text, to: "a.json")) }

    @Test("what was signed verifies, also when it is spaced otherwise, and holds the hash of each file and driver")
    func signed() throws {
        let attestation = try made(by: key)
        try read(attestation.text).verify(by: key.publicKey, nonce: "00ff17", of: "a.json")
        try read(attestation.text.replacing("\":\"", with: "\" :\n  \"")).verify(by: key.publicKey, nonce: nil, of: "a.json")
        // sha256 of "abc", FIPS 180-4.
        #expect(attestation.document["model"]?["sha256"]?.string == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        guard case .array(let drivers)? = attestation.document["drivers"] else { throw ToolError("no drivers") }
        #expect(drivers.first?["name"]?.string == "old" && drivers.first?["sha256"]?.string?.count == 64)
    }

    @Test("a changed document, another key, another nonce and no signature are refused in one line each")
    func refused() throws {
        let text = try made(by: key).text
        let cases: [(String, TrustKey, String?, String)] = [
            (text.replacing("m.yaml", with: "n.yaml"), key.publicKey, nil, "was changed after it was signed"),
            (text, SigningKey().publicKey, nil, "is asked for"), (text, key.publicKey, "00ff18", "answers another question"),
            (try made(by: nil).text, key.publicKey, nil, "nobody signed it"),
        ]
        for (text, key, nonce, words) in cases {
            let error = try #require(throws: DriverError.self) { try read(text).verify(by: key, nonce: nonce, of: "a.json") }
            #expect(error.code == .unauthenticated && error.detail.contains(words) && !error.description.contains("\n"))
        }
    }

    @Test("what is no attestation is named", arguments: [
        ("", "is not JSON"), ("{}", "is not an attestation of format"), (#"{"document": {"format": "baton-attestation-1", "x": 1.5}}"#, "whole numbers"),
        (#"{"document": {"format": "baton-attestation-1"}, "signature": {"algorithm": "none"}}"#, "has no Ed25519 key"),
    ])
    func malformed(text: String, words: String) throws {
        #expect(try #require(throws: DriverError.self) { try read(text) }.detail.contains(words))
    }

    @Test("a nonce is 1 to 128 bytes in hexadecimal", arguments: ["", "0", "xy", String(repeating: "00", count: 129)])
    func nonces(nonce: String) throws {
        #expect(try #require(throws: DriverError.self) { try made(nonce: nonce, by: key) }.detail.contains("nonce"))
    }

    @Test("one value has one text: sorted keys, no spaces, the shortest escapes")
    func canonical() throws {
        let value = try CanonicalJSON(parsing: Array(#"{ "b" : [1, -2, true, null], "a" : "é\u0007\n\"\\/" }"#.utf8), of: "x")
        #expect(value.text == #"{"a":"é\u0007\n\"\\/","b":[1,-2,true,null]}"#)
    }
}
