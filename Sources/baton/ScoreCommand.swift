import ArgumentParser
import Engine
import Model
import Tokens

struct ScoreCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "score", abstract: "Says how likely a text is under the model, from one prefill.",
        discussion: """
            The text is used as it is: no template, special tokens in it are parsed.

            EXAMPLES
              baton score Examples/aggregated.yaml --prompt-file text.txt --top 20 --json
            """)

    @Argument(help: "The manifest.", completion: .file(extensions: ["yaml", "yml", "json"])) var manifest: String
    @Option(help: "A file with the text.", completion: .file()) var promptFile: String
    @Option(help: "How many of the last position's largest logits to give.") var top = 20
    @Flag(help: "Print one JSON object.") var json = false

    func run() throws {
        try Failure.wrapping {
            let session = try Session(manifest: manifest)
            let (tokenizer, placement) = try session.readied()
            let text = try Files.text(promptFile)
            guard !text.isEmpty else { throw Failure(code: 2, "\(promptFile): is empty; give it some text") }
            let score = try session.open(try placement.get(), tokenizer: tokenizer).score(tokenizer.encode(text))
            Terminal.line(json ? try JSON.text(ScoreJSON(score, top: top)) : Self.table(score, tokenizer, top))
        }
    }

    private static func table(_ score: Score, _ tokenizer: Tokenizer, _ top: Int) -> String {
        let mean = score.meanLogprob.map { "\($0)" } ?? "-"
        let rows = [["id", "token", "logit"]] + score.top(top).map { ["\($0.id)", "\(tokenizer.decode([Int32($0.id)], skippingSpecials: false).debugDescription)", "\($0.logit)"] }
        return "\(score.ids.count) tokens, mean log-probability \(mean)\n" + Columns(rows, right: 2).text
    }
}

struct ScoreJSON: Encodable {
    var ids: [Int32]
    var token_logprobs: [Double]
    var mean_logprob: Double?
    var top: [[Double]]

    init(_ score: Score, top count: Int) {
        ids = score.ids
        token_logprobs = score.tokenLogprobs
        mean_logprob = score.meanLogprob
        top = score.top(max(0, count)).map { [Double($0.id), Double($0.logit)] }
    }

    private enum CodingKeys: String, CodingKey { case ids, token_logprobs, mean_logprob, top }

    /// `mean_logprob` is null for a single token.
    func encode(to encoder: any Encoder) throws {
        var object = encoder.container(keyedBy: CodingKeys.self)
        try object.encode(ids, forKey: .ids)
        try object.encode(token_logprobs, forKey: .token_logprobs)
        try object.encode(mean_logprob, forKey: .mean_logprob)
        var rows = object.nestedUnkeyedContainer(forKey: .top)
        for row in top {
            var pair = rows.nestedUnkeyedContainer()
            try pair.encode(Int(row[0]))
            try pair.encode(row[1])
        }
    }
}
