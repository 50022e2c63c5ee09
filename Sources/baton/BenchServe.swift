import ArgumentParser
import FoundationEssentials
import Glibc
import LoadGenerator

struct BenchServe: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Measures a server with OpenAI's API under load: latencies, throughput, goodput.",
        discussion: """
            Closed loads (--concurrency) hold so many requests open; open loads (--rate) send at random times, as independent users would, and never
            wait for the server: latencies then count from the time at which a request was to go out. Lists are separated by commas; each entry is
            one load. Prompts are words, so lengths in tokens are about what was asked for; what the server counted is reported.

            TTFT: to the first text. ITL: from one text to the next. TPOT: per token after the first. E2E: to the end.
            With --slo a request is good when it keeps every bound; ITL then stands for 99 of 100 of its gaps.

            EXAMPLES
              baton bench serve Examples/aggregated.yaml --concurrency 1,4,8,16
              baton bench serve http://127.0.0.1:8080 --rate 2,4,8 --duration 60s --slo ttft=500ms,itl=50ms --html load.html
              baton bench serve http://127.0.0.1:8080 --trace conversation_trace.jsonl --speed 10 --requests 200 --max-input 2000
            """)

    @Argument(help: "A server's address, or a manifest: then the server is started, measured and stopped.") var target: String
    @Option(help: "The model's name; the first that the server lists when not given.") var model: String?
    @Option(help: "The API key; BATON_API_KEY when not given.") var key: String?
    @Flag(help: "Ask for chat completions.") var chat = false
    @Option(name: .shortAndLong, help: "Clients of closed loads.") var concurrency: Counts?
    @Option(name: .shortAndLong, help: "Requests a second of open loads, as in 0.5,2.") var rate: Rates?
    @Option(help: "Words of a prompt.") var inputLength = 128
    @Option(help: "Tokens of a completion.") var outputLength = 128
    @Option(help: "Prompts, one a line: text, or {\"prompt\": \"...\", \"max_tokens\": n}.", completion: .file()) var prompts: String?
    @Option(help: "A trace, one request a line: timestamp, input_length, output_length, hash_ids.", completion: .file(extensions: ["jsonl"])) var trace: String?
    @Option(help: "How many times as fast a trace is played.") var speed = 1.0
    @Option(help: "A trace's prompts are cut to so many words.") var maxInput = 1_000_000
    @Option(help: "A trace's completions are cut to so many tokens.") var maxOutput = 1_000_000
    @Option(help: "Requests of each load; 4 for each client and 16 at least, or the whole trace, when not given.") var requests: Int?
    @Option(help: "No more requests go out after it, as in 30s.") var duration: Span?
    @Option(help: "A request that takes longer has failed, as in 60s.") var timeout = Span(nanoseconds: 300_000_000_000)
    @Option(help: "Requests before the first load, not counted.") var warmup = 2
    @Option(help: "Requests of an open load on their way at once, at most.") var maxInFlight = 512
    @Option(help: "Bounds of a good request, as in ttft=500ms,itl=50ms,tpot=40ms,e2e=10s.") var slo: String?
    @Flag(inversion: .prefixedNo, help: "Ask for whole completions of synthetic prompts and traces, by ignore_eos, a field that is not OpenAI's.")
    var ignoreEos = true
    @Option(help: "Of words and arrivals.") var seed: UInt64 = 1
    @Option(help: "Where to write the figures; - for standard output.") var json: String?
    @Option(help: "Where to write a picture.") var svg: String?
    @Option(help: "Where to write a page.") var html: String?

    func validate() throws {
        guard concurrency == nil || rate == nil, trace == nil || (concurrency == nil && rate == nil) else {
            throw ValidationError("give one of --concurrency, --rate and --trace")
        }
        guard prompts == nil || trace == nil else { throw ValidationError("give --prompts or --trace") }
        guard speed > 0, speed <= 1e6 else { throw ValidationError("--speed is \(speed); give more than 0") }
        for clients in concurrency?.values ?? [] { try Self.check("--concurrency", clients, 1...4096) }
        let lengths = [("--input-length", inputLength), ("--output-length", outputLength), ("--max-input", maxInput), ("--max-output", maxOutput)]
        for (name, value) in lengths { try Self.check(name, value, 1...1_000_000) }
        try Self.check("--requests", requests ?? 1, 1...1_000_000)
        try Self.check("--warmup", warmup, 0...1000)
        try Self.check("--max-in-flight", maxInFlight, 1...4096)
    }

    private static func check(_ name: String, _ value: Int, _ range: ClosedRange<Int>) throws {
        guard range.contains(value) else { throw ValidationError("\(name) is \(value); it goes from \(range.lowerBound) to \(range.upperBound)") }
    }

    func run() async throws {
        do { try await measure() } catch let error as LoadError { throw Failure(code: 2, error.description) }
    }

    private func measure() async throws {
        let level = try slo.map { text throws(LoadError) in try ServiceLevel(parsing: text) }
        let workload = try workload()
        let patterns = patterns(of: workload)
        let child = target.contains("://") ? nil : try ServerChild(manifest: target)
        defer { child?.stop() }
        var asked = try LoadTarget(
            url: child?.url ?? target, model: model ?? "", key: key ?? getenv("BATON_API_KEY").map { String(cString: $0) }, isChat: chat,
            ignoresEnd: ignoreEos && prompts == nil, timeout: timeout.nanoseconds)
        try await child?.awaitReady()
        if model == nil { asked.model = try await firstModel(asked) }
        var report = LoadReport(
            url: asked.base, model: asked.model, workload: workload.description, seed: seed, date: Date.now.formatted(.iso8601), level: level)
        report.loads = await loads(asked, workload, patterns, level)
        try write(report)
    }

    private func firstModel(_ target: LoadTarget) async throws -> String {
        let client = LoadClient(target, connections: 1)
        let names: [String]
        do { names = try await client.models() } catch {
            await client.close()
            throw error
        }
        await client.close()
        guard let name = names.first else { throw Failure(code: 1, "\(target.base) lists no model; give --model NAME") }
        return name
    }

    private func loads(_ target: LoadTarget, _ workload: Workload, _ patterns: [LoadPattern], _ level: ServiceLevel?) async -> [LoadSummary] {
        let bar = ProgressBar()
        defer { bar.clear() }
        let client = LoadClient(target, connections: patterns.map(bounds(of:)).map(\.inFlight).max() ?? 1)
        if warmup > 0 {
            // Words of their own, so that the server knows none of the prompts that count.
            let run = LoadRun(client, .closed(clients: 1), bounds: .init(requests: warmup), workload: workload, seed: ~seed)
            _ = await run.run { bar.report("warming up", Double($0) / Double(warmup)) }
        }
        var summaries: [LoadSummary] = []
        var first = 0
        for pattern in patterns {
            let bounds = bounds(of: pattern)
            let run = LoadRun(client, pattern, bounds: bounds, workload: workload, seed: seed, firstIndex: first)
            let records = await run.run { bar.report(pattern.label, Double($0) / Double(bounds.requests)) }
            first += records.count
            summaries.append(LoadSummary(records, pattern: pattern, level: level))
        }
        await client.close()
        return summaries
    }

    private func write(_ report: LoadReport) throws {
        if json == "-" { Terminal.line(try JSON.text(report)) } else {
            Terminal.line(Columns(report.table, right: 1).text)
            for note in report.notes { Terminal.line(note) }
            if let json { try Files.write(try JSON.text(report) + "\n", to: json) }
        }
        if let svg { try Files.write(report.svg, to: svg) }
        if let html { try Files.write(report.html, to: html) }
        guard report.loads.contains(where: { $0.completed > 0 }) else {
            let kinds = Set(report.loads.flatMap { $0.failureList.map(\.kind) }).sorted().joined(separator: ", ")
            throw Failure(code: 1, "no request was answered (\(kinds)); see the server's log")
        }
    }
}

extension BenchServe {
    private func workload() throws -> Workload {
        if let prompts { return try naming(prompts) { text throws(LoadError) in try Workload.prompts(parsing: text, maxTokens: outputLength) } }
        guard let trace else { return .synthetic(input: inputLength, output: outputLength) }
        let parsed = try naming(trace) { text throws(LoadError) in try RequestTrace(parsing: text, count: requests ?? .max) }
        return .trace(parsed, maxInput: maxInput, maxOutput: maxOutput)
    }

    /// Errors in a file name it.
    private func naming<R>(_ path: String, _ parse: (String) throws(LoadError) -> R) throws -> R {
        let text = try Files.text(path)
        do throws(LoadError) { return try parse(text) } catch { throw Failure(code: 2, "\(path): \(error)") }
    }

    private func patterns(of workload: Workload) -> [LoadPattern] {
        if case .trace(let trace, _, _) = workload { return [.timed(trace.offsets(speed: speed))] }
        if let rate { return rate.values.map { .poisson(rate: $0) } }
        return (concurrency?.values ?? [1]).map { .closed(clients: $0) }
    }

    private func bounds(of pattern: LoadPattern) -> LoadMachine.Bounds {
        switch pattern {
        case .closed(let clients): .init(requests: count(max(16, 4 * clients)), duration: duration?.nanoseconds, inFlight: clients)
        case .poisson: .init(requests: count(64), duration: duration?.nanoseconds, inFlight: maxInFlight)
        case .timed(let offsets): .init(requests: offsets.count, duration: duration?.nanoseconds, inFlight: maxInFlight)
        }
    }

    /// Where only a time is given, it alone ends the load.
    private func count(_ standard: Int) -> Int { requests ?? (duration == nil ? standard : 1_000_000) }
}

/// A time with its unit, as in 30s or 500ms.
struct Span: ExpressibleByArgument {
    var nanoseconds: UInt64

    init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    init?(argument: String) {
        guard let nanoseconds = ServiceLevel.duration(argument) else { return nil }
        self.nanoseconds = nanoseconds
    }

    var defaultValueDescription: String { "\(nanoseconds / 1_000_000_000)s" }
}

/// Rates separated by commas.
struct Rates: ExpressibleByArgument {
    var values: [Double]

    /// 64 at most, each above 0 and up to 100,000.
    init?(argument: String) {
        let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
        values = parts.compactMap { Double($0) }
        guard values.count == parts.count, values.count <= 64, values.allSatisfy({ $0 > 0 && $0 <= 100_000 }) else { return nil }
    }
}
