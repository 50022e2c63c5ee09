public import Driver
import Glibc

/// The rules run against one library, each check in a child process of its own, so that a driver that crashes or hangs fails a rule and ends nothing.
public struct Suite: Sendable {
    /// Absolute.
    public var library: String
    public var options: [(String, String)]
    public var rules: [Rule]
    public var exceptions: Exceptions
    /// The program to start for each check, and the arguments before the rule's id. It calls `check` and ends with its result.
    public var program: String
    public var arguments: [String]
    /// Checks that run at once. Some measure time; more than one makes them less certain.
    public var jobs = 1
    /// After so many seconds a check is ended and its rule has failed.
    public var timeout = 60

    public init(library: String, options: [(String, String)], rules: [Rule], exceptions: Exceptions, program: String, arguments: [String]) {
        self.library = library
        self.options = options
        self.rules = rules
        self.exceptions = exceptions
        self.program = program
        self.arguments = arguments
    }

    /// What shapes and values are drawn from where nothing else is asked for.
    public static let standardSeed: UInt64 = 1

    /// Where a child writes its result.
    private static let descriptor: Int32 = 3

    /// Runs every rule's check; `report` hears of each as it ends. Verdicts are in the order of the rules.
    public func run(report: (Verdict) -> Void = { _ in }) throws(ConformanceError) -> [Verdict] {
        var verdicts: [String: Verdict] = [:]
        var waiting = rules[...]
        var running: [Child] = []
        while !waiting.isEmpty || !running.isEmpty {
            while running.count < jobs, let rule = waiting.popFirst() {
                if let exception = exceptions.rules[rule.id], exception.kind == .unsupported {
                    verdicts[rule.id] = Verdict(rule, .unsupported, exception.reason)
                    verdicts[rule.id].map(report)
                } else { running.append(try Child(rule, program, arguments + [rule.id], timeout, Self.descriptor)) }
            }
            for child in Child.ended(among: &running) {
                let verdict = judged(child)
                verdicts[child.rule.id] = verdict
                report(verdict)
            }
        }
        return rules.compactMap { verdicts[$0.id] }
    }

    private func judged(_ child: Child) -> Verdict {
        let (passed, words) = child.result()
        let time = child.milliseconds
        guard let exception = exceptions.rules[child.rule.id] else { return Verdict(child.rule, passed ? .pass : .fail, words, milliseconds: time) }
        return Verdict(child.rule, passed ? .xpass : .xfail, exception.reason, milliseconds: time)
    }

    /// In the child: runs one rule's check and writes its result to the parent; gives the exit status.
    public static func check(
        _ rule: Rule, library: String, options: [(String, String)], isolation: Isolation? = nil, seed: UInt64 = standardSeed,
        search: DriverSearch = .standard()
    ) -> Int32 {
        report {
            let subject = try Subject(path: library, options: options, catalog: DriverCatalog(search: search), isolation: isolation, seed: seed)
            do { return try rule.check(subject).words } catch let gap as NotOffered { return gap.words }
        }
    }

    /// In a child: makes a check, writes what it says, or why it failed, to the parent, and ends the process: no driver has a say in how.
    public static func report(_ check: () throws -> String) -> Int32 {
        let text: String
        do { text = "pass \(try check())" } catch { text = "fail \(error)" }
        let bytes = Array(text.utf8)
        _ = Glibc.write(descriptor, bytes, bytes.count)
        _exit(text.hasPrefix("pass") ? 0 : 1)
    }
}
