import ArgumentParser
import Driver
import DriverConformance
import HandoffConformance
import Model
import FoundationEssentials

/// What a driver's author uses.
struct DriverCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "driver", abstract: "Writes, tests, signs and verifies drivers, and replays recorded runs on them.",
        subcommands: [DriverNew.self, DriverTest.self, DriverReplay.self, DriverKeygen.self, DriverSign.self, DriverVerify.self])
}

struct DriverTest: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test",
        abstract: "Runs the conformance suite against a driver's library.",
        discussion: """
            Every rule, D1 to D\(Rule.all.count), stands in the header of include/baton it belongs to, and has one check. Each check runs in a process
            of its own. Rules a driver does not keep are declared, with the reason, in `conformance.json` beside the library:

              {"D23": {"kind": "unsupported", "reason": "the host cannot see this device's memory"}}

            An `unsupported` rule is not run; one that is `xfail` is run, and flagged when it passes.

            EXAMPLES
              baton driver test ./libbaton-acme.so
              baton driver test ./libbaton-acme.so --option chips=2 --only D39,D52
              baton driver test ./libbaton-acme.so --only D37 --seed 7
              baton driver test ./libbaton-acme.so --json --junit conformance.xml
              baton driver test ./libbaton-acme.so --with ./libbaton-other.so

            With --with the rules are those of a handoff, H1 to H\(HandoffRule.all.count), for every ordered pair of the drivers, each with itself included: what is prefilled
            on A and decoded on B equals A alone.

            EXIT CODES
              0 every rule is kept    1 a rule is broken    2 the library or a file cannot be read    64 the command line is wrong
            """)

    @Argument(help: "The driver's library.", completion: .file(extensions: ["so"])) var library: String
    @Option(help: ArgumentHelp("An option of the device, as a manifest gives it.", valueName: "key=value")) var option: [String] = []
    @Flag(help: "Print the verdicts as JSON.") var json = false
    @Option(help: "Write the verdicts as JUnit XML to this file.", completion: .file(extensions: ["xml"])) var junit: String?
    @Option(help: "Run these rules alone, such as D1,D2.") var only: String?
    @Option(help: "The exceptions, in place of conformance.json beside the library.", completion: .file(extensions: ["json"])) var exceptions: String?
    @Option(help: "Checks that run at once. Those that measure time are surest alone.") var jobs = 1
    @Option(help: "Seconds after which a check has failed.") var timeout = 60
    @Option(help: ArgumentHelp("Another driver: KV is handed over between this one and those, each way. Options of its device follow, as LIB,key=value.", valueName: "lib"))
    var with: [String] = []
    @Option(help: "The model for --with, in place of small ones made of random weights.", completion: .file(extensions: ["gguf"])) var model: String?
    @Option(help: ArgumentHelp("Run the driver in a process of its own, as devices with this in a manifest do: none, process.", valueName: "how")) var isolation: String?
    @Option(help: "Where the shapes and values that operations are tried with beside fixed ones are drawn from; verdicts say it.") var seed = Suite.standardSeed
    @Option(help: .hidden) var one: String?

    func validate() throws {
        guard (1...64).contains(jobs) else { throw ValidationError("--jobs is \(jobs); give 1 to 64") }
        guard (1...3_600).contains(timeout) else { throw ValidationError("--timeout is \(timeout); give 1 to 3600 seconds") }
        guard [nil, "none", "process"].contains(isolation) else { throw ValidationError("--isolation is \(isolation ?? ""); give none or process") }
        for text in option where !text.contains("=") { throw ValidationError("--option \(text) has no '='; write key=value") }
    }

    private var isIsolated: Bool { isolation == "process" || isolation == nil && Isolation.ofEnvironment != nil }

    private var options: [(String, String)] {
        option.map { text in
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (String(parts[0]), String(parts[1]))
        }
    }

    func run() throws {
        let path = Files.absolute(library, against: Files.currentDirectory)
        if let one { try check(one, path) }
        guard FileManager.default.isReadableFile(atPath: path) else {
            throw Failure(code: 2, "\(library): cannot be read; give the path of a driver's library")
        }
        let verdicts = try verdicts(path)
        if let junit { try Files.write(verdicts.junit(suite: Self.name(of: path)), to: junit) }
        if json { Terminal.line(try JSON.text(VerdictsJSON(library: library, verdicts: verdicts))) } else { show(verdicts) }
        guard verdicts.isConformant else { throw ExitCode(1) }
    }

    /// The drivers that hand over to one another; nil where one is tested by itself.
    private func handoffs(_ path: String) throws -> HandoffConformance? {
        guard !with.isEmpty else { return nil }
        let others = try with.map { text in
            let parts = text.split(separator: ",").map(String.init)
            let library = Files.absolute(parts.first ?? text, against: Files.currentDirectory)
            guard FileManager.default.isReadableFile(atPath: library) else { throw Failure(code: 2, "\(parts.first ?? text): cannot be read; give the path of a driver's library") }
            return HandoffSubject(path: library, options: try parts.dropFirst().map(Self.pair))
        }
        return HandoffConformance([HandoffSubject(path: path, options: options)] + others)
    }

    private static func pair(_ text: String) throws -> (String, String) {
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 else { throw Failure(code: 64, "option \(text) has no '='; write key=value") }
        return (String(parts[0]), String(parts[1]))
    }

    /// In a child: one rule.
    private func check(_ id: String, _ path: String) throws {
        if let handoffs = try handoffs(path) {
            let file = try model.map { try ModelFile(path: Files.absolute($0, against: Files.currentDirectory)) }
            guard let status = handoffs.check(id, model: file) else { throw Failure(code: 2, "there is no rule \(id)") }
            throw ExitCode(status)
        }
        guard let rule = Rule.named(id) else { throw Failure(code: 2, "there is no rule \(id); they are D1 to D\(Rule.all.count)") }
        throw ExitCode(Suite.check(rule, library: path, options: options, isolation: isIsolated ? Isolation() : nil, seed: seed))
    }

    private func verdicts(_ path: String) throws -> [Verdict] {
        do {
            let declared = try exceptions.map { try Exceptions(reading: $0) } ?? Exceptions.beside(path)
            let program = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
            let more = with.flatMap { ["--with", $0] } + (model.map { ["--model", $0] } ?? [])
            let arguments = ["driver", "test", path] + option.flatMap { ["--option", $0] } + more + ["--isolation", isIsolated ? "process" : "none", "--seed", "\(seed)", "--one"]
            var suite = Suite(
                library: path, options: options, rules: try chosen(path), exceptions: with.isEmpty ? declared : Exceptions(), program: program, arguments: arguments)
            suite.jobs = jobs
            suite.timeout = timeout
            let bar = ProgressBar()
            defer { bar.clear() }
            var done = 0
            return try suite.run { verdict in
                done += 1
                bar.report(verdict.rule, Double(done) / Double(suite.rules.count))
            }
        } catch let error as ConformanceError { throw Failure(code: 2, error.description) }
    }

    private func chosen(_ path: String) throws -> [Rule] {
        if let handoffs = try handoffs(path) {
            let wanted = only.map { Set($0.uppercased().split(separator: ",")) }
            return handoffs.rules.filter { rule in wanted?.contains { rule.id.hasPrefix("\($0):") } ?? true }
        }
        guard let only else { return Rule.all }
        return try only.split(separator: ",").map { id in
            guard let rule = Rule.named(String(id)) else { throw Failure(code: 2, "there is no rule \(id); they are D1 to D\(Rule.all.count)") }
            return rule
        }
    }

    private static func name(of path: String) -> String { path.split(separator: "/").last.map(String.init) ?? path }

    private func show(_ verdicts: [Verdict]) {
        let rows = verdicts.map { verdict in
            [verdict.rule, verdict.header, verdict.outcome.rawValue, "\(verdict.milliseconds)", verdict.isBad || verdict.words.isEmpty ? verdict.sentence : verdict.words]
        }
        Terminal.line(Columns([["rule", "header", "verdict", "ms", ""]] + rows).text)
        for verdict in verdicts where verdict.outcome == .fail { Terminal.line("\(verdict.rule) is broken: \(verdict.words)") }
        for verdict in verdicts where verdict.outcome == .xpass {
            Terminal.line("\(verdict.rule) passes and is declared to fail (\(verdict.words)); take the exception out")
        }
        Terminal.line("\(library): \(verdicts.summary)")
    }
}

/// What `baton driver test --json` prints.
struct VerdictsJSON: Encodable {
    var library: String
    var conformant: Bool
    var verdicts: [Verdict]

    init(library: String, verdicts: [Verdict]) {
        self.library = library
        self.verdicts = verdicts
        conformant = verdicts.isConformant
    }
}
