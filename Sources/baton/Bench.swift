import ArgumentParser
import Driver
import Engine
import Model

struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measures a manifest's stages, or a server under load.", subcommands: [BenchPipeline.self, BenchServe.self],
        defaultSubcommand: BenchPipeline.self)
}

struct BenchPipeline: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pipeline", abstract: "Measures prefill and decode of a manifest, per stage and device; `baton bench MANIFEST` is short for it.",
        discussion: """
            Lists are separated by commas. One more run than asked for is made of each row and thrown away. Tokens per second are of all sequences
            of a batch together; rows of device models come on the wall clock and, apart, on their modelled one.

            EXAMPLES
              baton bench Examples/aggregated.yaml
              baton bench Examples/aggregated.yaml -p 512,2048 -n 128 -d 0,2048 -b 1,4,8,16 -t 2
              baton bench Examples/disaggregated.yaml -p 512 -n 0 --json
            """)

    @Argument(help: "The manifest.", completion: .file(extensions: ["yaml", "yml", "json"])) var manifest: String
    @Option(name: [.customShort("p"), .customLong("prompt-tokens")], help: "Tokens of a prompt; 0 for no prefill.") var prompts: Counts = [512]
    @Option(name: [.customShort("n"), .customLong("decode-tokens")], help: "Tokens to decode of each sequence; 0 for no decode.")
    var completions: Counts = [128]
    @Option(name: [.customShort("d"), .customLong("depth")], help: "Tokens whose KV is there before.") var depths: Counts = [0]
    @Option(name: [.customShort("b"), .customLong("batch")], help: "Sequences of a decode batch.") var batches: Counts = [1]
    @Option(name: [.customShort("r"), .customLong("repetitions")], help: "Measured runs of each row.") var repetitions = 5
    @Option(name: [.customShort("t"), .customLong("threads")], help: "Threads of the worker pool; all processors when not given.") var threads: Int?
    @Flag(help: "Print one JSON object.") var json = false

    func validate() throws {
        guard repetitions >= 1 else { throw ValidationError("-r is \(repetitions); give at least 1") }
        guard threads ?? 1 >= 1 else { throw ValidationError("-t is \(threads ?? 0); give at least 1") }
        guard batches.values.allSatisfy({ $0 >= 1 }) else { throw ValidationError("-b counts sequences; give 1 or more") }
    }

    func run() throws {
        try Failure.wrapping {
            let session = try Session(manifest: manifest, threads: threads)
            let plan = Benchmark.Plan(
                prompts: prompts.values.filter { $0 > 0 }, completions: completions.values.filter { $0 > 0 }, depths: depths.values,
                batches: batches.values, repetitions: repetitions)
            let most = session.model.hyperparameters.contextLength
            guard plan.context <= most else {
                throw Failure(code: 2, "the longest row has \(plan.context) tokens, depth included, and the model's context holds \(most); give less to -p, -n or -d")
            }
            let rows = try measure(session, plan)
            Terminal.line(json ? try JSON.text(BenchJSON(rows)) : Self.table(rows))
        }
    }

    private func measure(_ session: Session, _ plan: Benchmark.Plan) throws -> [Benchmark.Row] {
        let bar = ProgressBar()
        defer { bar.clear() }
        let turns = Benchmark.turns(of: try session.placements(context: max(1, plan.context), sequences: plan.sequences).all, plan)
        let total = turns.reduce(0) { $0 + plan.depths.count * ($1.plan.prompts.count + $1.plan.completions.count * plan.batches.count) }
        var done = 0
        return try turns.flatMap { placement, plan in
            let benchmark = try Benchmark(opening: placement, progress: { label, fraction in bar.report("readying \(label)", fraction) })
            return try benchmark.run(plan) { rows in
                done += 1
                guard let row = rows.first else { return }
                bar.report("\(row.kind) \(row.tokens) at depth \(row.depth), batch \(row.batch)", Double(done) / Double(max(1, total)))
            }
        }
    }

    private static func table(_ rows: [Benchmark.Row]) -> String {
        let head = ["stage", "device", "clock", "tokens", "depth", "batch", "tok/s", "least", "most"]
        return Columns(
            [head] + rows.map { row in
                let rates = row.rates.sorted()
                let shown = [rates[rates.count / 2], rates.first ?? 0, rates.last ?? 0].map { "\(Int($0.rounded()))" }
                return [row.kind, row.device, row.clock.rawValue, "\(row.tokens)", "\(row.depth)", "\(row.batch)"] + shown
            }, right: 3
        ).text
    }
}

/// Counts separated by commas.
struct Counts: ExpressibleByArgument, ExpressibleByArrayLiteral, CustomStringConvertible {
    var values: [Int]

    init(arrayLiteral values: Int...) { self.values = values }

    /// 64 counts at most, each from 0 to a million.
    init?(argument: String) {
        let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
        let values = parts.compactMap { Int($0) }
        guard values.count == parts.count, values.count <= 64, values.allSatisfy({ (0...1_000_000).contains($0) }) else { return nil }
        self.values = values
    }

    var description: String { values.map(String.init).joined(separator: ",") }
    var defaultValueDescription: String { description }
}

struct BenchJSON: Encodable {
    struct Row: Encodable {
        var kind: String
        var tokens, depth, batch: Int
        var device, clock: String
        var tok_s: [Double]
    }
    var rows: [Row]

    init(_ rows: [Benchmark.Row]) {
        self.rows = rows.map {
            Row(kind: $0.kind, tokens: $0.tokens, depth: $0.depth, batch: $0.batch, device: $0.device, clock: $0.clock.rawValue, tok_s: $0.rates)
        }
    }
}
