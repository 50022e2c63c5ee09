import ArgumentParser
import Driver
import DriverConformance
import Engine
import FoundationEssentials

struct Doctor: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "One page: the machine, the drivers, what they cost to talk to, how KV goes between devices, and what to do.",
        discussion: """
            Without a manifest, every driver's standard device is looked at. Each device is opened; calls, copies and handoffs are measured with small buffers of
            the doctor's own. Times are wall times of this host; a device model's own times are marked modelled. Some rules of the conformance suite run, or all.

            EXAMPLES
              baton doctor
              baton doctor Examples/disaggregated.yaml
              baton doctor --full --json

            EXIT CODES
              0 nothing is broken    1 a driver is refused, breaks a rule, or a pair cannot hand KV over    2 the manifest is wrong
            """)

    @Argument(help: "A manifest, whose devices are looked at.", completion: .file(extensions: ["yaml", "json"])) var manifest: String?
    @Flag(help: "Run every rule of the conformance suite; takes minutes.") var full = false
    @Flag(help: "Print JSON.") var json = false

    /// Rules that run without --full: entry, statuses, the device, buffers.
    private static let quick = ["D1", "D2", "D3", "D4", "D5", "D6", "D7", "D8", "D9", "D10", "D11", "D18"]

    func run() throws {
        try Failure.wrapping {
            let bar = ProgressBar()
            let page = try examined(bar)
            bar.clear()
            if json { Terminal.line(try JSON.text(page)) } else { Terminal.line(page.text(width: Terminal.width)) }
            guard !page.isBroken else { throw ExitCode(1) }
        }
    }

    private func examined(_ bar: ProgressBar) throws -> DoctorPage {
        bar.report("looking at the machine", 0)
        let session = try manifest.map { try Session(manifest: $0) }
        let catalog = try session?.catalog ?? DriverCatalog(trust: try TrustPolicy.standard())
        let libraries = catalog.loadAll()
        var page = DoctorPage(machine: MachineFacts(), workers: catalog.host.workers.count, report: catalog.report)
        let devices = try opened(session, libraries, &page, bar)
        for (index, device) in devices.enumerated() {
            bar.report("measuring \(device.label)", 0.2 + 0.2 * Double(index) / Double(devices.count))
            page.devices.append(DeviceFindings(measuring: device))
        }
        let able = devices.filter(\.library.hasKV)
        for from in able {
            for to in able where from !== to || able.count == 1 {
                bar.report("handing KV from \(from.label) to \(to.label)", 0.4)
                page.pairs.append(PairFindings(measuring: from, to: to))
            }
        }
        var seen: Set<String> = []
        for device in devices where seen.insert(device.library.path).inserted { page.conformance.append(try conformance(device.library, bar)) }
        page.report = catalog.report
        page.conclude()
        return page
    }

    /// The manifest's devices, or each driver's standard one. One that does not open, or has no memory, is a remark.
    private func opened(_ session: Session?, _ libraries: [DriverLibrary], _ page: inout DoctorPage, _ bar: ProgressBar) throws -> [Device] {
        var wanted: [(label: String, library: DriverLibrary, options: DriverOptions)] = libraries.map { ($0.name, $0, [:]) }
        if let session {
            wanted = try session.parts().map { ($0.device.label, $0.library, $0.device.options) }
        }
        var devices: [Device] = []
        for each in wanted where !devices.contains(where: { $0.label == each.label }) {
            bar.report("opening \(each.label)", 0.1)
            do throws(DriverError) {
                let device = try Device(opening: each.library, label: each.label, options: each.options)
                if device.info.memoryBytes == 0 { page.remarks.append("\(each.label): has no memory, and is measured no further") } else { devices.append(device) }
            } catch { page.remarks.append("\(each.label): \(error.detail)") }
        }
        return devices
    }

    private func conformance(_ library: DriverLibrary, _ bar: ProgressBar) throws -> Advice.Conformance {
        let rules = full ? Rule.all : Self.quick.compactMap { Rule.named($0) }
        do {
            let program = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
            let suite = Suite(
                library: library.path, options: [], rules: rules, exceptions: try Exceptions.beside(library.path), program: program,
                arguments: ["driver", "test", library.path, "--one"])
            var done = 0
            let verdicts = try suite.run { verdict in
                done += 1
                bar.report("\(library.name) \(verdict.rule)", 0.5 + 0.5 * Double(done) / Double(rules.count))
            }
            let broken = verdicts.filter(\.isBad).map(\.rule)
            return Advice.Conformance(
                driver: library.name, path: library.path, passed: verdicts.count { $0.outcome == .pass }, run: verdicts.count, of: Rule.all.count, broken: broken)
        } catch { throw Failure(code: 2, error.description) }
    }
}
