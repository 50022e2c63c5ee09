import Crypto
import Testing
@testable import Server

/// Signatures that are true are let in, whoever made them; every other is refused by the name that AWS has for it.
struct SignatureTests {
    @Test("what botocore signs is let in: odd ids, queries, spaces in headers, session tokens", .enabled(if: Boto.isThere, "\(Boto.absence)"))
    func boto() throws {
        let requests = try Signed.byBoto(seed: 5, count: 200)
        #expect(requests.count == 200)
        for request in requests {
            #expect(try request.check().accessKey == request.key.accessKey, "\(request.request)")
        }
    }

    @Test("the canonical request of the published example hashes as published, and its signature is true")
    func published() throws {
        let headers = [
            ("content-type", "application/x-www-form-urlencoded; charset=utf-8"), ("host", "iam.amazonaws.com"), ("x-amz-date", "20150830T123600Z"),
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, "
                    + "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
            ),
        ]
        let request = WireRequest(
            method: "GET", path: "/", query: "Action=ListUsers&Version=2010-05-08", headers: headers.map { (name: $0.0, value: $0.1) })
        let empty = CanonicalRequest.hexadecimal(SHA256.hash(data: [UInt8]()))
        let canonical = CanonicalRequest(request, signedHeaders: ["content-type", "host", "x-amz-date"], bodyHash: empty)
        #expect(canonical.hash == "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59")
        let key = SigningKey(accessKey: "AKIDEXAMPLE", secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
        let verifier = SignatureVerifier(service: "iam") { $0 == key.accessKey ? key : nil }
        let now = try #require(SigningDate("20150830T123600Z")).seconds
        let claim = try verifier.claim(of: request, now: now)
        #expect(try verifier.verify(claim, of: request, bodyHash: SHA256.hash(data: [UInt8]()), now: now) == key)
    }

    @Test(
        "paths are signed resolved and encoded once more",
        arguments: [
            ("/model/a%3Ab%2Fc/converse", "/model/a%253Ab%252Fc/converse"), ("", "/"), ("/", "/"), ("/a/./b/../c/", "/a/c/"), ("//a///b", "/a/b"),
            ("/../..", "/"), ("/a b/é", "/a%20b/%C3%A9"), ("/~-._", "/~-._"), ("/a:b", "/a%3Ab"), ("/%2e%2e/x", "/%252e%252e/x"),
        ])
    func paths(path: String, canonical: String) {
        let request = WireRequest(method: "get", path: path, query: "", headers: [])
        #expect(CanonicalRequest(request, signedHeaders: [], bodyHash: "h").text == "GET\n\(canonical)\n\n\n\nh")
    }

    @Test(
        "queries are ordered by name, then value, and encoded alike however they were written",
        arguments: [
            ("b=2&a=1", "a=1&b=2"), ("a=2&a=1", "a=1&a=2"), ("a", "a="), ("a=%e9%20", "a=%E9%20"), ("a=b=c", "a=b%3Dc"), ("", ""), ("%zz=1", "%25zz=1"),
        ])
    func queries(query: String, canonical: String) {
        let request = WireRequest(method: "GET", path: "/", query: query, headers: [])
        #expect(CanonicalRequest(request, signedHeaders: [], bodyHash: "h").text == "GET\n/\n\(canonical)\n\n\nh")
    }

    @Test("a signature is of one request: another method, path, query, body, host or signed header is refused")
    func bound() {
        let signed = Signed.plain(query: "a=1")
        #expect(signed.refusal() == nil)
        let changes: [(inout Signed) -> Void] = [
            { $0.request.method = "PUT" }, { $0.request.path = "/model/smollm3/converse" }, { $0.request.query = "a=2" }, { $0.request.query = "" },
            { $0.body = Array("{ }".utf8) }, { $0.set("host", "127.0.0.1:8081") }, { $0.set("content-type", "text/plain") },
            { $0.request.headers.append(("content-type", "text/plain")) },
        ]
        for change in changes { #expect(signed.changed(change).refusal() == .invalid) }
    }

    @Test("another secret, another key, another service and a request without credentials are refused by name")
    func strangers() {
        let signed = Signed.plain()
        #expect(signed.refusal(keys: [SigningKey(accessKey: "AKIDONE", secret: "secret two")]) == .invalid)
        #expect(signed.refusal(keys: [SigningKey(accessKey: "AKIDTWO", secret: "secret one")]) == .unrecognized)
        #expect(signed.refusal(keys: []) == .unrecognized)
        #expect(Signed.plain(service: "s3").refusal() == .invalid)
        #expect(signed.changed { $0.set("authorization", nil) }.refusal() == .missing)
    }

    @Test("a date may be five minutes off, either way, and no second more; its day must be the scope's")
    func dates() {
        let signed = Signed.plain()
        for allowed in [-300, 0, 300] as [Int64] { #expect(signed.refusal(now: signed.now + allowed) == nil) }
        for wrong in [-301, 301, 86_400, -86_400, Int64(1) << 40] { #expect(signed.refusal(now: signed.now + wrong) == .invalid) }
        let other = signed.changed { $0.set("x-amz-date", "20260302T000000Z") }
        #expect(other.refusal() == .invalid)
        for text in ["20260231T000000Z", "20260301 101112Z", "2026030AT101112Z", "20260301T246000Z", "", "20260301T101112+", "99999999T999999Z"] {
            #expect(signed.changed { $0.set("x-amz-date", text) }.refusal() == .incomplete, "\(text)")
        }
        #expect(signed.changed { $0.set("x-amz-date", nil) }.refusal() == .incomplete)
    }

    @Test("dates are counted as the calendar has them")
    func calendar() {
        for (text, seconds) in [
            ("19700101T000000Z", 0), ("20000229T235959Z", 951_868_799), ("20240229T120000Z", 1_709_208_000), ("20261125T164848Z", 1_795_625_328),
            ("21000301T000000Z", 4_107_542_400),
        ] as [(String, Int64)] { #expect(SigningDate(text)?.seconds == seconds, "\(text)") }
        #expect(SigningDate("21000229T000000Z") == nil)
    }

    @Test("host, date and every x-amz and x-amzn-bedrock header must be signed")
    func signedHeaders() {
        for name in ["host", "x-amz-date", "x-amz-meta", "x-amzn-bedrock-service-tier"] {
            var signed = Signed.plain(extra: [("x-amz-meta", "1"), ("x-amzn-bedrock-service-tier", "flex")])
            #expect(signed.refusal() == nil)
            signed.sign(without: [name])
            #expect(signed.refusal() == .invalid, "\(name)")
        }
        var signed = Signed.plain()
        signed.sign(without: ["content-type"])
        #expect(signed.refusal() == nil)
        #expect(Signed.plain(extra: [("x-gone", "1")]).changed { $0.set("x-gone", nil) }.refusal() == .invalid)
    }

    @Test("bodies must be signed whole: unsigned and streaming payloads and hashes of other bodies are refused")
    func payloads() {
        let hash = CanonicalRequest.hexadecimal(SHA256.hash(data: Array("{}".utf8)))
        #expect(Signed.plain(extra: [("x-amz-content-sha256", hash)]).refusal() == nil)
        #expect(Signed.plain(body: "{ }", extra: [("x-amz-content-sha256", hash)]).refusal() == .invalid)
        for value in ["UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"] {
            #expect(Signed.plain(extra: [("x-amz-content-sha256", value)]).refusal() == .invalid, "\(value)")
        }
        for value in ["", "abc", hash.uppercased(), hash + "0"] {
            #expect(Signed.plain(extra: [("x-amz-content-sha256", value)]).refusal() == .incomplete, "\(value)")
        }
    }

    @Test("a session token is the key's or there is none; a key that has expired says so")
    func temporaryKeys() {
        let key = SigningKey(accessKey: "ASIAONE", secret: "s", sessionToken: "token", expires: 1_772_360_000)
        let signed = Signed.plain(key: key)
        #expect(signed.refusal(now: signed.now) == (signed.now < 1_772_360_000 ? nil : .expired))
        var late = key
        late.expires = signed.now
        #expect(signed.refusal(keys: [late]) == .expired)
        late.expires = signed.now + 1
        #expect(signed.refusal(keys: [late]) == nil)
        var plain = key
        plain.sessionToken = nil
        #expect(signed.refusal(keys: [plain]) == .unrecognized)
        #expect(Signed.plain(key: plain).refusal(keys: [late]) == .unrecognized)
    }

    @Test("an Authorization header that cannot be read whole is incomplete")
    func headers() {
        let signed = Signed.plain(), header = signed.header("authorization")
        let wrong = [
            "", "AWS4-HMAC-SHA256", "Basic abc", "AWS4-ECDSA-P256-SHA256" + header.dropFirst(16), header + ", Signature=00", header + ", Extra=1",
            header.replacing("SignedHeaders", with: "Headers"), header.replacing("Signature=", with: "Signature=0"), header.replacing("AKIDONE/", with: ""),
            header.replacing("aws4_request", with: "aws5_request"), header.replacing("content-type;host", with: "host;content-type"),
            header.replacing("host;", with: "host;host;"), header.replacing("host;", with: "Host;"), header.replacing("host;", with: ";host;"),
            header.replacing("us-east-1/", with: "/"), String(header.prefix(60)),
        ]
        for value in wrong { #expect(signed.changed { $0.set("authorization", value) }.refusal() == .incomplete, "\(value)") }
        #expect(signed.changed { $0.request.headers.append(("authorization", header)) }.refusal() == .incomplete)
        #expect(signed.changed { $0.request.query = "X-Amz-Signature=1" }.refusal() == .incomplete)
        #expect(signed.changed { $0.set("authorization", header.replacing(", ", with: ",")) }.refusal() == nil)
    }

    @Test("every refusal is one line of plain characters and has a status")
    func words() {
        let odd = "x\nInjected: 1\r\n\u{1F600}"
        let signed = Signed.plain().changed { $0.set("authorization", "AWS4-HMAC-SHA256 Credential=\(odd)/20260301/r/bedrock/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + String(repeating: "0", count: 64)) }
        do throws(SignatureRefusal) { _ = try signed.check() } catch {
            #expect(error.words.unicodeScalars.allSatisfy { (0x20..<0x7F).contains($0.value) })
        }
        for kind in SignatureRefusal.Kind.allCases {
            let error = BedrockError(SignatureRefusal(kind, "w"))
            #expect(error.kind.rawValue == kind.rawValue)
            #expect([400, 403, 429].contains(error.kind.status))
        }
    }
}
