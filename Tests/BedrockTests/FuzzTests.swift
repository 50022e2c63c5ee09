import Crypto
import NIOCore
import Testing
@testable import Server

/// Bytes that nobody meant: parsers refuse them or understand them, and nothing else.
struct FuzzTests {
    @Test("a signed request of which anything signed was changed never gets in", arguments: [1, 2, 3] as [UInt64])
    func signatures(seed: UInt64) throws {
        var dice = Dice(seed)
        let key = SigningKey(accessKey: "AKIDONE", secret: "secret one", sessionToken: seed == 2 ? "token" : nil)
        let signed = Signed.plain(query: "a=1&b=%2F", body: #"{"messages": []}"#, extra: [("x-amz-meta", "a b")], key: key)
        #expect(signed.refusal() == nil)
        var refused = 0
        for _ in 0..<6_000 {
            let other = mutated(signed, &dice)
            guard other.refusal() == nil else {
                refused += 1
                continue
            }
            let claim = try SignatureClaim(other.request)
            #expect(canonical(other, claim) == canonical(signed, claim), "\(other.request)")
        }
        #expect(refused > 4_000)
    }

    /// What a signature speaks of.
    private func canonical(_ signed: Signed, _ claim: SignatureClaim) -> String {
        CanonicalRequest(signed.request, signedHeaders: claim.signedHeaders, bodyHash: CanonicalRequest.hexadecimal(SHA256.hash(data: signed.body))).text
            + claim.scope + claim.accessKey
    }

    private func mutated(_ signed: Signed, _ dice: inout Dice) -> Signed {
        var other = signed
        func text(_ text: String) -> String { String(decoding: dice.mutated(Array(text.utf8)), as: UTF8.self) }
        switch dice.below(7) {
        case 0: other.request.path = text(other.request.path)
        case 1: other.request.query = text(other.request.query)
        case 2: other.body = dice.mutated(other.body)
        case 3: other.request.method = text(other.request.method)
        case 4: other.request.headers.remove(at: dice.below(other.request.headers.count))
        case 5: other.request.headers.insert(other.request.headers[dice.below(other.request.headers.count)], at: 0)
        default:
            let place = dice.below(other.request.headers.count)
            other.request.headers[place].value = text(other.request.headers[place].value)
        }
        return other
    }

    @Test("headers of pure noise are refused by name", arguments: [7] as [UInt64])
    func noise(seed: UInt64) {
        var dice = Dice(seed)
        for _ in 0..<4_000 {
            var signed = Signed.plain()
            let bytes = (0..<dice.below(120)).map { _ in UInt8(truncatingIfNeeded: dice.next()) }
            let noise = String(decoding: bytes, as: UTF8.self)
            signed.set(["authorization", "x-amz-date", "host"][dice.below(3)], noise)
            if dice.below(2) == 0 { signed.set("authorization", "AWS4-HMAC-SHA256 " + noise) }
            #expect(signed.refusal() != nil)
        }
    }

    @Test("bodies of any bytes are read or refused, with one line and never with anything else", arguments: [11, 12] as [UInt64])
    func bodies(seed: UInt64) {
        var dice = Dice(seed)
        let seeds = [
            #"{"messages":[{"role":"user","content":[{"text":"hi"}]}],"system":[{"text":"s"}],"inferenceConfig":{"maxTokens":3,"temperature":0.5,"topP":1,"stopSequences":["x"]},"serviceTier":{"type":"flex"},"additionalModelRequestFields":{"top_k":3,"seed":9}}"#,
            #"{"prompt":"The sky","max_gen_len":3,"temperature":0.5,"top_p":1,"top_k":2,"seed":-1,"stop":["a"]}"#,
            #"{"input":{"converse":{"messages":[{"role":"user","content":[{"text":"hi"}]}]}}}"#,
            #"{"input":{"invokeModel":{"body":"eyJwcm9tcHQiOiJhIn0="}}}"#,
        ]
        var (read, refused) = (0, 0)
        for round in 0..<4_000 {
            let body = ByteBuffer(bytes: dice.mutated(Array(seeds[round % 4].utf8)))
            do throws(Refusal) {
                switch round % 4 {
                case 0:
                    let question = try JSONText.read(ConverseBody.self, from: body).question
                    #expect((0...1).contains(question.temperature ?? 0) && (question.maxTokens ?? 1) >= 1)
                case 1: #expect(try !JSONText.read(InvokeBody.self, from: body).prompt.isEmpty)
                default: _ = try JSONText.read(CountTokensBody.self, from: body).input
                }
                read += 1
            } catch {
                refused += 1
                #expect(BedrockError(error).kind == .validation)
            }
        }
        #expect(read > 50 && refused > 1_000)
    }

    @Test("JSON nested without end, and numbers beyond all bounds, are refused")
    func extremes() {
        let deep = String(repeating: "[", count: 100_000)
        let bodies = [
            deep, "{\"messages\":" + deep, "{\"messages\":\(String(repeating: "{\"a\":", count: 50_000))", "", "null", "[]", "\"x\"", "\u{FEFF}{}",
            #"{"prompt":"x","max_gen_len":99999999999999999999}"#, #"{"prompt":"x","temperature":1e400}"#, #"{"prompt":"x","top_p":NaN}"#,
            #"{"prompt":"\ud800"}"#, #"{"prompt":"x","seed":1.5}"#,
        ]
        for body in bodies {
            #expect(throws: Refusal.self, "\(body.prefix(60))") { try JSONText.read(InvokeBody.self, from: ByteBuffer(string: body)) }
        }
    }
}
