import ArgumentParser
import Driver
import Engine

struct Drivers: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Lists the drivers that were found, and what was decided of each.",
        discussion: """
            EXAMPLES
              baton drivers
              baton drivers --json | jq '.report.candidates[] | {name, decision, sha256, buildID, signature, note}'
              BATON_LAYERS=validate,trace baton drivers
              BATON_ADD_DRIVER_FILES=/opt/acme/acme.driver.json baton drivers
            """)

    @Flag(help: "Print the load report as JSON.") var json = false

    func run() throws {
        try Failure.wrapping {
            let catalog = DriverCatalog(trust: try TrustPolicy.standard())
            let libraries = catalog.loadAll()
            let report = catalog.report
            if json { return Terminal.line(try JSON.text(DriversJSON(report: report, libraries: libraries))) }
            Terminal.line(Columns(Self.rows(report.candidates)).text)
            for candidate in report.candidates { if let error = candidate.error { Terminal.note(error) } }
            for note in report.notes { Terminal.note(note) }
        }
    }

    /// The table with its heading; layers have a column where there are any.
    private static func rows(_ candidates: [LoadReport.Candidate]) -> [[String]] {
        let areLayered = candidates.contains { $0.layers != nil }
        let heading = ["driver", "version", "ABI", "decision"] + (areLayered ? ["layers"] : []) + ["path"]
        return [heading] + candidates.map { candidate in
            let layers = areLayered ? [candidate.layers?.joined(separator: ", ") ?? "-"] : []
            return [candidate.shownName, candidate.version ?? "-", candidate.abi ?? "-", candidate.decision.rawValue] + layers + [candidate.path]
        }
    }
}

extension LoadReport.Candidate {
    /// What it is found by, and what it calls itself where that is something else.
    fileprivate var shownName: String {
        guard let ownName, ownName != name else { return name }
        return "\(name) (\(ownName))"
    }
}

/// The load report, with the options that loaded drivers document.
struct DriversJSON: Encodable {
    struct Options: Encodable {
        var name: String
        var options: [DriverOptionInfo]
    }
    var report: LoadReport
    var drivers: [Options]

    init(report: LoadReport, libraries: [DriverLibrary]) {
        self.report = report
        drivers = libraries.map { Options(name: $0.name, options: $0.options) }
    }
}

struct Devices: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Says what device each driver gives with its standard options, or the devices of a manifest.",
        discussion: """
            Nothing is opened.

            EXAMPLES
              baton devices
              baton devices Examples/disaggregated.yaml --json
            """)

    @Argument(help: "A manifest; without one, every driver's standard device.") var manifest: String?
    @Flag(help: "Print JSON.") var json = false

    func run() throws {
        try Failure.wrapping {
            let found = try manifest.map(devices(of:)) ?? (try standard())
            if json { return Terminal.line(try JSON.text(found)) }
            let rows = found.map { [$0.device, $0.driver, $0.engine, $0.name, $0.memory, $0.kv_dtype, $0.shapes, $0.clock] }
            Terminal.line(Columns([["device", "driver", "engine", "name", "memory", "KV", "shapes", "clock"]] + rows).text)
        }
    }

    private func standard() throws -> [DeviceJSON] {
        DriverCatalog(trust: try TrustPolicy.standard()).loadAll().compactMap { library in
            (try? library.describe([:])).map { DeviceJSON(device: library.name, driver: library.name, $0) }
        }
    }

    private func devices(of manifest: String) throws -> [DeviceJSON] {
        try Session(manifest: manifest).parts().map {
            DeviceJSON(device: $0.device.label, driver: $0.library.name, $0.info)
        }
    }
}
