import ArgumentParser
import Engine
import Glibc
import Model
import Pipeline
import Tokens

struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs one prompt through a manifest and streams the text.",
        discussion: """
            EXAMPLES
              baton run Examples/disaggregated.yaml --prompt "What is gravity?"
              baton run Examples/aggregated.yaml --prompt "The capital of France is" --raw --max-tokens 16
              baton run Examples/disaggregated.yaml --messages chat.json --temperature 0.7 --seed 1 --json
              baton run Examples/disaggregated.yaml --prompt Hi --trace trace.json    (open the file in Perfetto)

            --messages takes a JSON array of {"role", "content"}.
            """)

    @Argument(help: "The manifest, YAML or JSON.", completion: .file(extensions: ["yaml", "yml", "json"])) var manifest: String
    @Option(help: "What to say.") var prompt: String?
    @Option(help: "A file with what to say.", completion: .file()) var promptFile: String?
    @Option(help: "A JSON file with a conversation.", completion: .file(extensions: ["json"])) var messages: String?
    @Flag(help: "Use the text as it is, without the chat template.") var raw = false
    @Option(help: "Tokens to make at most.") var maxTokens = 256
    @Option(help: "0 is greedy.") var temperature: Float?
    @Option(help: "Only the likeliest so many; 0 for all.") var topK: Int?
    @Option(help: "Only the likeliest whose probabilities sum to this.") var topP: Float?
    @Option(help: "Only tokens at least so many times as likely as the likeliest.") var minP: Float?
    @Option(help: "Makes tokens seen lately less likely; 1 for none.") var repetitionPenalty: Float?
    @Option(help: "Of the random choices.") var seed: UInt64?
    @Option(help: "Ends the text before this string; may be given more than once.") var stop: [String] = []
    @Flag(help: "Go on after the model's end token.") var ignoreEnd = false
    @Flag(help: "Print one JSON object and no text.") var json = false
    @Option(help: "Write a Chrome trace of the run to this file.", completion: .file(extensions: ["json"])) var trace: String?

    func validate() throws {
        guard [prompt, promptFile, messages].count(where: { $0 != nil }) == 1 else {
            throw ValidationError("give one of --prompt, --prompt-file and --messages")
        }
        guard maxTokens >= 1 else { throw ValidationError("--max-tokens is \(maxTokens); give at least 1") }
    }

    func run() throws {
        try Failure.wrapping {
            let session = try Session(manifest: manifest)
            let (tokenizer, placement) = try session.readied()
            let hooks = try session.hooks()
            let text = try input(session, tokenizer)
            try hooks.guardInput(text)
            let ids = hooks.replacesTokenizer ? try hooks.tokenize(text) : tokenizer.encode(text)
            let request = Request(
                prompt: tokenizer.addsBOS ? [tokenizer.bos].compactMap { $0 } + ids : ids, maxTokens: maxTokens, sampling: try sampling(session.graph),
                stops: stop, obeysEnd: !ignoreEnd)
            let engine = try session.open(try placement.get(), tokenizer: tokenizer)
            let recorder = trace.map { _ in Trace() }
            engine.trace = recorder
            let report = try generate(engine, request)
            if let trace, let recorder { try Files.write(recorder.json(), to: trace) }
            Terminal.write(json ? try JSON.text(ReportJSON(report)) + "\n" : "\n")
            if !json { Terminal.note(ReportTable(report).text) }
        }
    }

    private func generate(_ engine: Engine, _ request: Request) throws -> RunReport {
        let bar = ProgressBar()
        let total = request.prompt.count
        return try engine.run(
            request,
            emit: { piece in
                bar.clear()
                if !json { Terminal.write(piece) }
            },
            progress: { done in if total > 1024 { bar.report("prefill \(done) of \(total) tokens", Double(done) / Double(total)) } })
    }

    /// The prompt's text, template applied.
    private func input(_ session: Session, _ tokenizer: Tokenizer) throws -> String {
        var turns: [ChatMessage] = []
        if let messages {
            struct Turn: Decodable {
                var role: String
                var content: String
            }
            turns = try JSON.read([Turn].self, from: messages, what: "a JSON array of {\"role\", \"content\"}").map {
                ChatMessage(role: $0.role, content: $0.content)
            }
            guard !turns.isEmpty else { throw Failure(code: 2, "\(messages): holds no messages; give at least one") }
        } else {
            let text = try prompt ?? Files.text(promptFile ?? "")
            guard !text.isEmpty else { throw Failure(code: 2, "the prompt is empty; give it some text") }
            if raw { return text }
            turns = [ChatMessage(role: "user", content: text)]
        }
        if raw { return turns.map(\.content).joined(separator: "\n") }
        return try session.model.chatTemplate(tokenizer).render(turns, addingGenerationPrompt: true)
    }

    private func sampling(_ graph: Graph) throws -> SamplingOptions {
        let standard = graph.manifest.sampling
        return try SamplingOptions(
            temperature: temperature ?? standard.temperature.map { Float($0.value) } ?? 0, topK: topK ?? standard.topK?.value ?? 0,
            topP: topP ?? standard.topP.map { Float($0.value) } ?? 1, minP: minP ?? standard.minP.map { Float($0.value) } ?? 0,
            repetitionPenalty: repetitionPenalty ?? standard.repetitionPenalty.map { Float($0.value) } ?? 1,
            seed: seed ?? standard.seed?.value ?? 0)
    }
}
