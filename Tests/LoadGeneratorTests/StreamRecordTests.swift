import Testing

@testable import LoadGenerator

/// What a stream is made of, and what is made of it.
struct StreamRecordTests {
    private func events(_ text: String, pieces: Int) throws -> [String] {
        var stream = EventStream()
        let bytes = Array(text.utf8)
        var found: [String] = []
        for start in stride(from: 0, to: bytes.count, by: pieces) {
            found += try stream.take(bytes[start..<min(bytes.count, start + pieces)]).map { String(decoding: $0, as: UTF8.self) }
        }
        return found
    }

    @Test("events are found however the bytes are cut and whichever way lines end", arguments: [1, 2, 3, 7, 1000], ["\n", "\r\n", "\r"])
    func events(pieces: Int, end: String) throws {
        let text = [": hello", "data: one", "", "event: x", "data:two", "data: three", "", "", "id: 4", "", "data: [DONE]", "", "data: unfinished"]
            .joined(separator: end)
        #expect(try events(text, pieces: pieces) == ["one", "two\nthree", "[DONE]"])
    }

    @Test("an event without end is refused")
    func endless() {
        var stream = EventStream()
        #expect(throws: LoadFailure.malformed) { _ = try stream.take([UInt8](repeating: 0x61, count: EventStream.limit + 1)) }
    }

    private func record(_ events: [(UInt64, String)], end: UInt64 = 1_000, intended: UInt64 = 10, sent: UInt64 = 15) throws -> StreamRecord {
        var record = StreamRecord(intended: intended, sent: sent)
        for (time, event) in events { try record.take(Array(event.utf8), at: time) }
        record.end(at: end)
        return record
    }

    private static let stop = #"{"choices":[{"text":"","finish_reason":"length"}]}"#

    @Test("latencies count from the intended time, gaps from text to text, and usage counts tokens")
    func times() throws {
        let record = try record([
            (100, #"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#), (110, #"{"choices":[{"delta":{"content":"a"}}]}"#),
            (130, #"{"choices":[{"text":"b"}]}"#), (190, #"{"choices":[{"text":"c"}]}"#), (195, Self.stop),
            (196, #"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":9,"prompt_tokens_details":{"cached_tokens":2}}}"#), (197, "[DONE]"),
        ])
        #expect(record.failure == nil && record.gaps == [20, 60] && record.arrivals == [110, 130, 190])
        #expect(record.value(of: .ttft) == 100 && record.value(of: .e2e) == 990 && record.value(of: .tpot) == 10 && record.value(of: .itl) == 60)
        #expect(record.outputTokens == 9 && record.promptTokens == 7 && record.cachedTokens == 2 && record.isCountStated)
    }

    @Test("without usage each text is a token")
    func unstated() throws {
        let record = try record([(20, #"{"choices":[{"text":"a"}]}"#), (30, #"{"choices":[{"text":"b"}]}"#), (31, Self.stop)])
        #expect(record.outputTokens == 2 && !record.isCountStated && record.value(of: .tpot) == 10)
    }

    @Test("what went wrong is told apart")
    func failures() throws {
        #expect(try record([(20, #"{"choices":[{"text":"a"}]}"#)]).failure == .cut)
        #expect(try record([]).failure == .cut)
        #expect(try record([(20, Self.stop), (21, "[DONE]")]).failure == .empty)
        #expect(throws: LoadFailure.malformed) { _ = try record([(20, "<html>")]) }
        #expect(throws: LoadFailure.stream("overloaded")) { _ = try record([(20, #"{"error":{"message":"m","type":"t","code":"overloaded"}}"#)]) }
        #expect(throws: LoadFailure.stream("t")) { _ = try record([(20, #"{"error":{"message":"m","type":"t","code":503}}"#)]) }
        #expect(throws: LoadFailure.stream("")) { _ = try record([(20, #"{"error":"bad"}"#)]) }
    }

    @Test("an address is a base with or without /v1; others are refused")
    func addresses() throws {
        #expect(try LoadTarget(url: "http://127.0.0.1:8080/v1/").path == "http://127.0.0.1:8080/v1/completions")
        #expect(try LoadTarget(url: "https://[::1]:1", isChat: true).path == "https://[::1]:1/v1/chat/completions")
        for wrong in ["127.0.0.1:80", "ftp://a", "http://", "http:///v1"] { #expect(throws: LoadError.self) { _ = try LoadTarget(url: wrong) } }
        let target = try LoadTarget(url: "http://127.0.0.1:1", model: "m", ignoresEnd: true)
        let body = String(decoding: target.body(.init(prompt: "a\"b", maxTokens: 3)), as: UTF8.self)
        for part in [#""ignore_eos":true"#, #""include_usage":true"#, #""max_tokens":3"#, #""prompt":"a\"b""#, #""stream":true"#] { #expect(body.contains(part)) }
    }
}
