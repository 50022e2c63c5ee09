public import Driver

/// What follows from what the doctor found: for each finding one sentence that says what to do. Pure.
public struct Advice: Sendable {
    /// A device's conformance: how many rules pass, and those that do not.
    public struct Conformance: Sendable, Encodable {
        public var driver: String
        public var path: String
        public var passed: Int
        public var run: Int
        /// Rules of the suite, when only some were run.
        public var of: Int
        public var broken: [String]

        public init(driver: String, path: String, passed: Int, run: Int, of: Int, broken: [String]) {
            self.driver = driver
            self.path = path
            self.passed = passed
            self.run = run
            self.of = of
            self.broken = broken
        }
    }

    public static func sentences(
        machine: MachineFacts, report: LoadReport, conformance: [Conformance], devices: [DeviceFindings], pairs: [PairFindings], workers: Int, isDebug: Bool
    ) -> [String] {
        self.machine(machine, workers: workers, isDebug: isDebug) + drivers(report) + conformance.flatMap(rules) + devices.flatMap(device) + handoffs(pairs)
    }

    private static func machine(_ machine: MachineFacts, workers: Int, isDebug: Bool) -> [String] {
        var said: [String] = []
        if isDebug { said.append("This program is built for debugging, so its times mean little: build it with `make build` before you compare any.") }
        if workers < machine.processors {
            said.append("The worker pool has \(workers) of \(machine.processors) processors: unset BATON_THREADS to use them all.")
        }
        if machine.architecture == "x86_64", !machine.instructionSets.contains("avx2") {
            said.append("This processor has no AVX2, so the cpu driver's kernels are scalar: expect a tenth of the speed, or use another machine.")
        }
        if machine.landlock == 0 {
            said.append("This kernel offers no Landlock, so an isolated driver's files are not fenced by it: run drivers you do not trust on Linux 5.13 or later with it switched on.")
        }
        if !machine.seccomp { said.append("This kernel filters no system calls (seccomp), so an isolated driver can make any: run drivers you do not trust elsewhere.") }
        if !machine.memfd { said.append("This kernel makes no memfds, so devices in other processes cannot share memory: keep drivers in this process.") }
        return said
    }

    private static func drivers(_ report: LoadReport) -> [String] {
        var said = report.candidates.filter { $0.decision == .refused }.map { "Driver \($0.name) is refused, and its reason says what to do: see above, or `baton drivers`." }
        let loaded = report.candidates.filter { $0.decision == .loaded }
        if loaded.isEmpty { said.append("No driver was loaded: put one beside the program, or name it in BATON_ADD_DRIVER_FILES.") }
        if report.trust.require == .none, !loaded.isEmpty {
            said.append("Any driver on the path is loaded: pin them with `baton driver sign`, and name a policy in BATON_TRUST, before others use this machine.")
        }
        return said
    }

    private static func rules(_ found: Conformance) -> [String] {
        guard !found.broken.isEmpty else { return [] }
        return ["Driver \(found.driver) breaks \(found.broken.joined(separator: ", ")): run `baton driver test \(found.path) --only \(found.broken.joined(separator: ","))` and tell its author."]
    }

    private static func device(_ found: DeviceFindings) -> [String] {
        guard let call = found.callNanoseconds, call > 20_000 else { return [] }
        return ["A call into \(found.device) takes \(Int(call / 1_000)) us: give it larger batches, so that fewer calls are made."]
    }

    private static func handoffs(_ pairs: [PairFindings]) -> [String] {
        var said = pairs.compactMap { found in
            found.remark.map { "KV cannot go from \(found.from) to \(found.to) (\($0)): put both stages on one of them, or use another driver." }
        }
        let staged = pairs.filter { $0.way == .staged }
        guard !staged.isEmpty else { return said }
        let ways = staged.map(\.conversion).compactMap { $0 }
        var remedies: [String] = []
        if ways.contains(where: { $0.contains("cast") }) { remedies.append("one KV dtype") }
        if ways.contains(where: { $0.contains("regroup") }) { remedies.append("one block size") }
        let remedy = remedies.isEmpty ? "keep `overlap: layer`, which hides most of it" : "where their options allow, give both \(remedies.joined(separator: " and "))"
        let names = staged.map { "\($0.from) to \($0.to)" }.joined(separator: ", ")
        said.append("KV is converted in host memory on its way (\(names)): \(remedy).")
        return said
    }
}
