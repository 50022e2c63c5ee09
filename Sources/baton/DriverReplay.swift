import ArgumentParser
import Driver

/// Runs a recording on another driver and says where it first differs.
struct DriverReplay: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay",
        abstract: "Runs a recorded run's calls on another driver and compares what comes back.",
        discussion: """
            The layer `record` writes the recording: `layers: [record]` on a device of a manifest, or BATON_LAYERS=record, writes
            baton-DEVICE.recording and, beside it, .data. Outputs that are read and KV that is exported are compared, element by element; the first
            that differ by more than the tolerance are named by call, operation and element.

            EXAMPLES
              BATON_LAYERS=record baton run Examples/aggregated.yaml --prompt Hi --max-tokens 8
              baton driver replay baton-host.recording --driver cpu --option isa=scalar
              baton driver replay baton-host.recording --driver ./libbaton-acme.so --json

            EXIT CODES
              0 nothing differs    1 something does, or the driver refused a call    2 a file is wrong    64 the command line is wrong
            """)

    @Argument(help: "The recording.", completion: .file()) var recording: String
    @Option(help: "The driver's name, or the path of its library.") var driver: String
    @Option(help: ArgumentHelp("An option of the device, in place of those recorded.", valueName: "key=value")) var option: [String] = []
    @Option(help: "Numbers agree that differ by no more than this ...") var absolute = 0.05
    @Option(help: "... and this many times the recorded one.") var relative = 0.02
    @Flag(help: "Print JSON.") var json = false

    func validate() throws {
        for text in option where !text.contains("=") { throw ValidationError("--option \(text) has no '='; write key=value") }
        guard absolute >= 0, relative >= 0 else { throw ValidationError("--absolute and --relative are not below 0") }
    }

    func run() throws {
        let report = try Failure.wrapping { () throws -> Replay.Report in
            let name = driver.contains("/") ? Files.absolute(driver, against: Files.currentDirectory) : driver
            var settings = Replay.Settings()
            (settings.absolute, settings.relative) = (absolute, relative)
            if !option.isEmpty {
                settings.options = DriverOptions(
                    option.map { text in
                        let sides = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                        return (String(sides[0]), String(sides[1]))
                    })
            }
            let library = try DriverCatalog().load(name)
            do { return try Replay(reading: recording, on: library, settings: settings).run() } catch let error as DriverError where error.call == "replay" {
                throw Failure(code: 2, error.description)
            }
        }
        if json { Terminal.line(try JSON.text(report)) } else { show(report) }
        guard report.first_divergence == nil else { throw ExitCode(1) }
    }

    private func show(_ report: Replay.Report) {
        Terminal.line(
            "\(report.calls) calls recorded on \(report.recorded_driver), replayed on \(report.driver): \(report.compared) results compared, \(report.elements) elements, greatest difference \(report.largest_difference)")
        for note in report.notes { Terminal.note(note) }
        guard let first = report.first_divergence else { return Terminal.line("nothing differs") }
        Terminal.line("\(report.differing_elements) elements differ; the first: call \(first.call), \(first.name): \(first.operation), \(first.element): recorded \(first.recorded), found \(first.found)")
    }
}
