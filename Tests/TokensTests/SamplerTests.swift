import Testing

@testable import Tokens

struct SamplerTests {
    private func draw(_ options: SamplingOptions, _ logits: [Float], _ times: Int, history: [Int32] = []) throws -> [Int32: Int] {
        var sampler = Sampler(options)
        var counts: [Int32: Int] = [:]
        for _ in 0..<times {
            var copy = logits
            let id = try copy.withUnsafeMutableBufferPointer { try sampler.next($0, history: history) }
            counts[id, default: 0] += 1
        }
        return counts
    }

    @Test("greedy takes the greatest logit, the lowest id of equals")
    func greedy() throws {
        #expect(try draw(.greedy, [1, 3, 3, -1], 1) == [1: 1])
    }

    @Test("greedy is the same for every length and place, and sees a NaN wherever it is", arguments: [1, 2, 15, 16, 17, 31, 32, 33, 100])
    func greedyEverywhere(count: Int) throws {
        for place in 0..<count {
            var logits = (0..<count).map { Float($0 % 7) - 10 }
            logits[place] = 1
            if place + 3 < count { logits[place + 3] = 1 }
            #expect(try draw(.greedy, logits, 1) == [Int32(place): 1])
            logits[place] = .nan
            #expect(throws: TokensError.self) { try draw(.greedy, logits, 1) }
        }
    }

    @Test("draws follow the probabilities")
    func distribution() throws {
        let counts = try draw(SamplingOptions(temperature: 1, seed: 3), [0, 0.6931472, 1.3862944], 70_000)
        for (id, share) in [(Int32(0), 1.0 / 7), (1, 2.0 / 7), (2, 4.0 / 7)] { #expect(abs(Double(counts[id] ?? 0) / 70_000 - share) < 0.01) }
    }

    @Test("top-k, top-p and min-p leave only what they say")
    func filters() throws {
        let logits: [Float] = [3, 2, 1, 0]
        #expect(try Set(draw(SamplingOptions(temperature: 1, topK: 2, seed: 1), logits, 500).keys) == [0, 1])
        #expect(try Set(draw(SamplingOptions(temperature: 1, topP: 0.6, seed: 1), logits, 500).keys) == [0])
        #expect(try Set(draw(SamplingOptions(temperature: 1, minP: 0.3, seed: 1), logits, 500).keys) == [0, 1])
    }

    @Test("the repetition penalty turns a choice away from what was said")
    func penalty() throws {
        #expect(try draw(SamplingOptions(repetitionPenalty: 2), [3, 2], 1, history: [0]) == [1: 1])
    }

    @Test("options out of range and logits without a choice are refused")
    func refused() {
        #expect(throws: TokensError.self) { try SamplingOptions(temperature: -1) }
        #expect(throws: TokensError.self) { try SamplingOptions(topP: 0) }
        #expect(throws: TokensError.self) { try draw(.greedy, [.nan, 1], 1) }
        #expect(throws: TokensError.self) { try draw(.greedy, [-.infinity, -.infinity], 1) }
    }

    @Test("a stop string never shows, however it is cut into tokens")
    func stops() {
        for text in ["abcSTOPdef", "abSSTOP", "aSTO"] {
            for size in 1...4 {
                var rule = StopRule(strings: ["STOP"], ends: [], maxTokens: 100)
                var out = ""
                var finish: FinishReason?
                var rest = Substring(text)
                while !rest.isEmpty, finish == nil {
                    let taken = rule.take(token: 1, text: String(rest.prefix(size)))
                    rest = rest.dropFirst(size)
                    out += taken.emit
                    finish = taken.finish
                }
                if finish == nil { out += rule.finish("") }
                let wanted = text.split(separator: "STOP", maxSplits: 1, omittingEmptySubsequences: false)[0]
                #expect(out == wanted, "\(text) by \(size)")
            }
        }
    }

    @Test("an end token stops it and the most tokens end it")
    func ends() {
        var rule = StopRule(strings: [], ends: [2], maxTokens: 3)
        #expect(rule.take(token: 2, text: "") == ("", .stop))
        rule = StopRule(strings: [], ends: [2], maxTokens: 1)
        #expect(rule.take(token: 5, text: "x").finish == .length)
        #expect(rule.finish("") == "x")
    }
}
