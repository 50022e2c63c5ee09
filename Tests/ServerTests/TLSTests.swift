import BuildKit
import TestKit
import Testing

/// What makes a certificate, and a client.
private enum TLSTools {
    static let openssl = Tool(named: "openssl")
    static let curl = Tool(named: "curl")
    static var areThere: Bool { openssl != nil && curl != nil }
}

/// `baton serve` over TLS, with a certificate made for the test and a client that is not ours.
@Suite(
    .enabled(if: TestModel.path != nil && ServeProcess.isThere && TLSTools.areThere, "the model, the command, openssl or curl is not there"))
struct TLSTests {
    /// A certificate that vouches for itself, for loopback.
    private static func makeCertificate(_ certificate: String, _ key: String) throws {
        try #require(TLSTools.openssl).check([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=IP:127.0.0.1",
        ])
    }

    private static func ask(_ arguments: [String]) async throws -> Tool.Output {
        try await Wire.blocking { try #require(TLSTools.curl).run(["--silent", "--show-error", "--max-time", "60"] + arguments) }
    }

    @Test("a client that trusts the certificate is answered over TLS; one that does not, and one that speaks without TLS, are not")
    func handshake() async throws {
        let folder = try TemporaryFolder()
        let (certificate, key) = (folder.file("chain.pem"), folder.file("key.pem"))
        try await Wire.blocking { try Self.makeCertificate(certificate, key) }
        let process = try await Wire.blocking { try ServeProcess(["--tls-cert", certificate, "--tls-key", key]) }
        defer { process.kill() }
        let models = "://127.0.0.1:\(process.port)/v1/models"
        let bearer = ["--header", "authorization: Bearer \(process.token)"]
        let trusted = try await Self.ask(bearer + ["--cacert", certificate, "https" + models])
        #expect(trusted.status == 0 && trusted.text.contains("\"tiny\""), "\(trusted)")
        // 60: the peer's certificate cannot be authenticated.
        #expect(try await Self.ask(bearer + ["https" + models]).status == 60)
        #expect(try await Self.ask(bearer + ["--fail", "http" + models]).status != 0)
        #expect(try await Self.ask(bearer + ["--cacert", certificate, "https" + models]).text == trusted.text, "the server goes on")
    }

    @Test("a key that is another certificate's, and a certificate that is none, are refused in one line before anything is served")
    func mismatched() async throws {
        let folder = try TemporaryFolder()
        try await Wire.blocking {
            for name in ["one", "two"] { try Self.makeCertificate(folder.file(name + ".pem"), folder.file(name + ".key")) }
            try folder.write("not a certificate\n", to: "text.pem")
        }
        for (certificate, key) in [("one.pem", "two.key"), ("text.pem", "one.key")] {
            let (status, error) = try await Wire.blocking {
                try ServeProcess.refusal(["--tls-cert", folder.file(certificate), "--tls-key", folder.file(key)])
            }
            #expect(status == 2, "\(certificate) with \(key): \(status)")
            #expect(error.hasPrefix("baton: ") && error.split(separator: "\n").count == 1, "\(error)")
        }
    }
}
