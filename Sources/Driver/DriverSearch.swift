import FoundationEssentials
import CHost
import Glibc

/// Where drivers are looked for. A plain value: the environment is read once, when it is made.
public struct DriverSearch: Sendable {
    /// Folders, in order; absolute.
    public var folders: [String]
    /// Replaces the folders when set.
    public var files: [String]?
    /// Come before what the folders hold.
    public var added: [String]
    /// Globs over driver names; nil selects all.
    public var select: [String]?
    public var disable: [String]
    public var notes: [String]
    /// Layers around every device, as BATON_LAYERS writes them; inside those that a device has of its own.
    public var layers: String?

    public init(
        folders: [String], files: [String]? = nil, added: [String] = [], select: [String]? = nil, disable: [String] = [],
        notes: [String] = []
    ) {
        self.folders = folders
        self.files = files
        self.added = added
        self.select = select
        self.disable = disable
        self.notes = notes
    }

    /// The folder of this program, `../lib/baton` beside it, `/usr/local/lib/baton`, `/usr/lib/baton`; and the environment.
    public static func standard() -> DriverSearch {
        let program = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        let folder = program.lastIndex(of: "/").map { String(program[..<$0]) }
        let beside = folder.map { [$0, $0 + "/../lib/baton"] } ?? []
        return DriverSearch(folders: beside + ["/usr/local/lib/baton", "/usr/lib/baton"])
            .changed(by: ProcessInfo.processInfo.environment, elevated: chost_is_elevated() != 0)
    }

    /// With what the environment says; `elevated` processes ignore it and note so.
    public func changed(by environment: [String: String], elevated: Bool) -> DriverSearch {
        let names = ["BATON_DRIVER_FILES", "BATON_ADD_DRIVER_FILES", "BATON_DRIVERS_SELECT", "BATON_DRIVERS_DISABLE", "BATON_LAYERS"]
        let set = names.filter { !(environment[$0] ?? "").isEmpty }
        var search = self
        guard !elevated else {
            search.notes += set.map { "\($0) is ignored: this process runs with elevated privilege" }
            return search
        }
        func list(_ name: String, _ separator: Character) -> [String]? {
            environment[name].flatMap { $0.isEmpty ? nil : $0.split(separator: separator).map(String.init) }
        }
        search.files = list(names[0], ":") ?? files
        search.added += list(names[1], ":") ?? []
        search.select = list(names[2], ",") ?? select
        search.disable += list(names[3], ",") ?? []
        search.layers = list(names[4], "\n")?.first ?? layers
        return search
    }

    /// Every candidate, in the order of preference, before anything is loaded.
    func report(hostABI: ABIRange) -> LoadReport {
        var candidates = added.map { Self.candidate(file: $0, source: "BATON_ADD_DRIVER_FILES", hostABI: hostABI) }
        if let files {
            candidates += files.map { Self.candidate(file: $0, source: "BATON_DRIVER_FILES", hostABI: hostABI) }
        } else {
            candidates += folders.flatMap(Self.files(in:)).map { Self.candidate(file: $0, source: "search", hostABI: hostABI) }
        }
        var seen: Set<String> = []
        for index in candidates.indices where candidates[index].decision == .listed {
            let name = candidates[index].name
            if !allows(name) {
                candidates[index].decision = .disabled
            } else if !seen.insert(name).inserted {
                candidates[index].decision = .shadowed
            }
        }
        let layered = layers.map { ["BATON_LAYERS puts these around every device: \($0)"] } ?? []
        return LoadReport(searched: files == nil ? folders : [], candidates: candidates, notes: notes + layered)
    }

    private func allows(_ name: String) -> Bool {
        func matches(_ glob: String) -> Bool { fnmatch(glob, name, 0) == 0 }
        return (select?.contains(where: matches) ?? true) && !disable.contains(where: matches)
    }

    /// `libbaton-*.so` and `*.driver.json` of a folder, sorted; a library that a manifest of the folder describes is listed once.
    private static func files(in folder: String) -> [String] {
        let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
        let manifests = names.filter { $0.hasSuffix(".driver.json") }.map { folder + "/" + $0 }
        let described = Set(manifests.compactMap { try? DriverManifest(reading: $0).library })
        let libraries = names.filter { $0.hasPrefix("libbaton-") && $0.hasSuffix(".so") }.map { folder + "/" + $0 }
        return manifests + libraries.filter { !described.contains($0) }
    }

    /// The candidate a file stands for. One that cannot be is refused here, with the reason.
    static func candidate(file: String, source: String, hostABI: ABIRange) -> LoadReport.Candidate {
        let base = file.split(separator: "/").last.map(String.init) ?? file
        var candidate = LoadReport.Candidate(
            name: base, source: source, path: file, decision: .listed, hostABI: hostABI.description)
        if !file.hasPrefix("/") {
            candidate.decision = .refused
            candidate.error = "driver \(file): find: the path is not absolute; the current directory is never searched"
        } else if base.hasSuffix(".json") {
            candidate.manifest = file
            candidate.name = String(base.dropLast(base.hasSuffix(".driver.json") ? 12 : 5))
            do throws(DriverError) {
                let manifest = try DriverManifest(reading: file)
                candidate.name = manifest.name
                candidate.path = manifest.library
            } catch {
                candidate.decision = .refused
                candidate.error = error.description
            }
        } else if base.hasPrefix("libbaton-"), base.hasSuffix(".so") {
            candidate.name = String(base.dropFirst(9).dropLast(3))
        }
        return candidate
    }
}
