import Driver
import Engine

/// What `baton doctor` prints.
struct DoctorPage: Encodable {
    var machine: MachineFacts
    /// Threads of the worker pool.
    var workers: Int
    var report: LoadReport
    var devices: [DeviceFindings] = []
    var pairs: [PairFindings] = []
    var conformance: [Advice.Conformance] = []
    var remarks: [String] = []
    var advice: [String] = []

    init(machine: MachineFacts, workers: Int, report: LoadReport) {
        self.machine = machine
        self.report = report
        self.workers = workers
    }

    mutating func conclude() {
        #if DEBUG
            let isDebug = true
        #else
            let isDebug = false
        #endif
        advice = Advice.sentences(
            machine: machine, report: report, conformance: conformance, devices: devices, pairs: pairs, workers: workers, isDebug: isDebug)
    }

    var isBroken: Bool {
        report.candidates.contains { $0.decision == .refused } || conformance.contains { !$0.broken.isEmpty } || pairs.contains { $0.remark != nil }
    }

    /// The page for a terminal of `width` columns.
    func text(width: Int) -> String {
        let sections: [(String, [String])] = [
            ("machine", machineLines), ("drivers", driverLines), ("devices", deviceLines), ("handoff", pairLines),
            ("what to do", advice.isEmpty ? ["nothing"] : advice.map { "- \($0)" }),
        ]
        return sections.map { title, lines in
            ([title] + lines.flatMap { Self.wrapped($0, width: width - 2).map { "  \($0)" } }).joined(separator: "\n")
        }.joined(separator: "\n\n")
    }

    private var machineLines: [String] {
        [
            "\(machine.processor), \(machine.architecture), \(machine.processors) processors, \(workers) workers",
            machine.instructionSets.isEmpty ? "no instruction sets known" : machine.instructionSets.joined(separator: " "),
            "\(ByteCount(machine.memoryBytes)) memory, \(ByteCount(machine.availableBytes)) available",
            "Linux \(machine.kernel): Landlock \(machine.landlock == 0 ? "none" : "\(machine.landlock)"), seccomp \(machine.seccomp ? "yes" : "no"), memfd \(machine.memfd ? "yes" : "no")",
        ]
    }

    private var driverLines: [String] {
        let rows = report.candidates.map { candidate -> [String] in
            let found = conformance.first { $0.path == candidate.path }
            let rules = found.map { "\($0.passed) of \($0.run) rules\($0.run < $0.of ? " (quick)" : "")\($0.broken.isEmpty ? "" : ", breaks \($0.broken.joined(separator: " "))")" }
            return [candidate.ownName ?? candidate.name, candidate.version ?? "-", candidate.abi ?? "-", candidate.decision.rawValue, candidate.signature ?? "-", rules ?? "-"]
        }
        let table = Columns([["driver", "version", "ABI", "decision", "signature", "conformance"]] + rows).text.split(separator: "\n").map(String.init)
        return table + report.candidates.compactMap(\.error) + ["required of drivers: \(report.trust.require.rawValue)"] + report.notes
    }

    private var deviceLines: [String] {
        let rows = devices.map { device in
            [
                device.device, device.name, device.engine, device.callNanoseconds.map { "\(Int($0.rounded()))" } ?? "-", Self.rate(device.writeBytesPerSecond),
                Self.rate(device.readBytesPerSecond),
            ]
        }
        guard !rows.isEmpty else { return ["no device is open"] + remarks }
        let table = Columns([["device", "name", "engine", "call ns", "write GB/s", "read GB/s"]] + rows).text.split(separator: "\n").map(String.init)
        return table + ["all wall times of this host; call: health, through the contract"] + devices.flatMap { device in device.remarks.map { "\(device.device): \($0)" } } + remarks
    }

    private var pairLines: [String] {
        guard !pairs.isEmpty else { return ["no two devices with KV"] }
        func leg(_ pair: PairFindings, _ name: String, _ clock: String) -> String {
            Self.rate(pair.legs.first { $0.leg == name && $0.clock == clock }?.bytesPerSecond)
        }
        let rows = pairs.map { pair in
            [pair.from, pair.to, pair.way?.rawValue ?? "none"] + ["export", "convert", "import"].map { leg(pair, $0, "wall") }
                + ["export", "import"].map { leg(pair, $0, "modelled") }
        }
        let head = ["from", "to", "way", "export", "convert", "import", "export*", "import*"]
        let table = Columns([head] + rows).text.split(separator: "\n").map(String.init)
        return table + ["GB/s: wall times of this host; * modelled by the device, never to be added to wall times"]
            + pairs.compactMap { pair in pair.conversion.flatMap { $0 == "identity" ? nil : "\(pair.from) to \(pair.to): \($0)" } }
            + pairs.compactMap { pair in pair.remark.map { "\(pair.from) to \(pair.to): \($0)" } }
    }

    private static func rate(_ bytesPerSecond: Double?) -> String {
        guard let bytesPerSecond else { return "-" }
        let thousandths = Int((bytesPerSecond / 1e6).rounded())
        if thousandths >= 100_000 { return "\(thousandths / 1_000)" }
        if thousandths >= 1_000 { return "\(thousandths / 1_000).\(thousandths / 100 % 10)" }
        let digits = "\(thousandths)"
        return "0." + String(repeating: "0", count: max(0, 3 - digits.count)) + digits
    }

    /// Lines of at most `width` characters, broken between words; a longer word stays whole, and columns are left alone.
    static func wrapped(_ text: String, width: Int) -> [String] {
        guard text.count > width else { return [text] }
        var lines: [String] = []
        var line = ""
        let indent = text.hasPrefix("- ") ? "  " : ""
        for word in text.split(separator: " ", omittingEmptySubsequences: false) {
            if !line.isEmpty, line.count + 1 + word.count > width {
                lines.append(line)
                line = indent + word
            } else { line += line.isEmpty && lines.isEmpty ? String(word) : " " + word }
        }
        return lines + [line]
    }
}
