import ArgumentParser

/// The command. It wires; everything it prints is computed below.
@main
struct Baton: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "baton",
        abstract: "Runs language models with prefill and decode on different accelerators.",
        discussion: """
            A manifest names the devices, and which of them prefills and which decodes; drivers are loaded when they are needed.

            EXAMPLES
              baton run Examples/disaggregated.yaml --prompt "What is gravity?"
              baton explain Examples/disaggregated.yaml --svg plan.svg
              baton serve Examples/disaggregated.yaml --port 8080
              baton bench Examples/aggregated.yaml -p 512 -n 128
              baton bench serve http://127.0.0.1:8080 --concurrency 1,4,8,16
              baton drivers --json
              baton doctor Examples/disaggregated.yaml
              baton call libm.so.6 'f64 cos(f64)' 0.5

            EXIT CODES
              0 done    1 it failed while running    2 the manifest, model or input is wrong    64 the command line is wrong

            ENVIRONMENT
              BATON_DRIVER_FILES, BATON_ADD_DRIVER_FILES   driver files, separated by ':'; the first replaces what is searched
              BATON_DRIVERS_SELECT, BATON_DRIVERS_DISABLE  globs over driver names, separated by ','
              BATON_LAYERS                                 layers around every device, separated by ',': validate, trace, record, fault
              BATON_TRUST                                  the operator's file: what drivers must show before they are loaded
              BATON_MODELS                                 the folder of models
              BATON_THREADS                                threads of the worker pool
              BATON_CPU_ISA                                scalar, avx2, avx512 or avx512bf16 for the cpu driver
            """,
        version: "1.0.0",
        subcommands: [
            Run.self, Serve.self, ScoreCommand.self, Tokenize.self, Explain.self, Drivers.self, Devices.self, Bench.self, Call.self, ModelCommand.self,
            DriverCommand.self, KeysCommand.self, Attest.self, Doctor.self,
        ])

    /// Failures are one line on standard error; the exit code says whose they are.
    static func main() async {
        do {
            var command = try parseAsRoot()
            Terminal.claimOutput()
            if var command = command as? any AsyncParsableCommand { try await command.run() } else { try command.run() }
        } catch let failure as Failure {
            Terminal.fail(failure)
        } catch {
            Terminal.releaseOutput()
            exit(withError: error)
        }
    }
}
