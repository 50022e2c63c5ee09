@testable import Engine
import Model
import TestKit
import Testing
import Tokens

/// What a completion makes of logits at the end of a text. The vocabulary is the real model's.
@Suite(.enabled(if: TestModel.path != nil, "the model is not there; run `baton model pull`"))
struct CompletionTests {
    /// Three tokens of a completion whose likeliest token always ends the text, and the second likeliest is a word; and why it ended.
    private static func made(_ request: Request) throws -> (tokens: [Int32], text: String, finish: FinishReason?, end: Int32, word: Int32) {
        let tokenizer = try TestModel.tokenizer(#require(try TestModel.open().file))
        let (end, word) = (try #require(tokenizer.ends.max()), try #require(tokenizer.encode(" word").last))
        var completion = Completion(request, maxTokens: 3, tokenizer: tokenizer, filters: ForeignHooks())
        var finish: FinishReason?
        while finish == nil {
            var logits = [Float](repeating: 0, count: Int(max(end, word)) + 1)
            for token in tokenizer.ends { logits[Int(token)] = 2 }
            (logits[Int(end)], logits[Int(word)]) = (3, 1)
            finish = try completion.next(&logits) { _ in }
        }
        return (completion.tokens, completion.text, finish, end, word)
    }

    @Test("an end token ends a completion, or is passed over with no text, or is never chosen, whatever the temperature", arguments: [Float(0), 0.01])
    func ends(temperature: Float) throws {
        let sampling = try SamplingOptions(temperature: temperature)
        let obeying = try Self.made(Request(prompt: [1], maxTokens: 3, sampling: sampling))
        #expect(obeying.tokens == [obeying.end] && obeying.finish == .stop)
        let passing = try Self.made(Request(prompt: [1], maxTokens: 3, sampling: sampling, obeysEnd: false))
        #expect(passing.tokens == [passing.end, passing.end, passing.end] && passing.text.isEmpty && passing.finish == .length)
        let avoiding = try Self.made(Request(prompt: [1], maxTokens: 3, sampling: sampling, avoidsEnd: true))
        #expect(avoiding.tokens == [avoiding.word, avoiding.word, avoiding.word] && avoiding.text == " word word word" && avoiding.finish == .length)
    }
}
