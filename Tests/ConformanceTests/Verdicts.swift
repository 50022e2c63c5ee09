import BuildKit
import Driver
import DriverConformance
import TestKit

/// The suite run against a library by the built command, as a driver's author runs it.
enum Conformance {
    static var baton: String { TestDrivers.folder + "/baton" }

    static func verdicts(
        _ library: String, options: [(String, String)] = [], rules: [Rule] = Rule.all, exceptions: Exceptions = Exceptions(), jobs: Int = 2,
        isIsolated: Bool = false, layers: String? = nil
    ) throws -> [Verdict] {
        let arguments = ["driver", "test", library] + options.flatMap { ["--option", "\($0.0)=\($0.1)"] } + (isIsolated ? ["--isolation", "process"] : []) + ["--one"]
        var suite = Suite(library: library, options: options, rules: rules, exceptions: exceptions, program: baton, arguments: arguments)
        if let layers {
            guard let env = Tool(named: "env") else { throw ToolError("no env on PATH") }
            suite.program = env.path
            suite.arguments = ["BATON_LAYERS=\(layers)", baton] + arguments
        }
        suite.jobs = jobs
        suite.timeout = 240
        return try suite.run()
    }

    /// What is broken, with the reasons.
    static func broken(_ verdicts: [Verdict]) -> String {
        verdicts.filter(\.isBad).map { "\($0.rule): \($0.words)" }.joined(separator: "\n")
    }
}
