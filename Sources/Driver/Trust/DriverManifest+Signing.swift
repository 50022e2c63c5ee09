import FoundationEssentials
import Glibc

extension DriverManifest {
    /// What a signature of this manifest is over; nil where it pins no hash or states no range.
    var statement: DriverSignature.Statement? {
        guard let sha256, let abi else { return nil }
        return DriverSignature.Statement(name: name, sha256: sha256, abi: abi, capabilities: capabilities)
    }

    /// The manifest that describes the library in `file`: `file` itself where it is one, else the one beside it, else a new one. Its hash and
    /// range are those of the library now. Nothing of the library runs.
    public init(describing file: String) throws(DriverError) {
        let beside = file.hasSuffix(".json") ? file : Self.path(beside: file)
        if file.hasSuffix(".json") || access(beside, F_OK) == 0 {
            try self.init(reading: beside)
        } else {
            self.init(name: "", library: file)
        }
        let library = try LibraryFile(opening: self.library)
        guard let note = library.note else {
            guard abi != nil else {
                throw DriverError(
                    .failedPrecondition, driver: self.library, call: "sign",
                    detail: "the library has no Baton note and no manifest states its abi; build it with BATON_DRIVER_NOTE of note.h")
            }
            sha256 = library.sha256
            return
        }
        (name, abi, sha256) = (note.name, note.abi, library.sha256)
    }

    /// `libbaton-acme.so` is described by `acme.driver.json` beside it.
    public static func path(beside library: String) -> String {
        let parts = library.split(separator: "/", omittingEmptySubsequences: false)
        var base = parts.last.map(String.init) ?? ""
        if base.hasPrefix("libbaton-") { base.removeFirst(9) }
        if base.hasSuffix(".so") { base.removeLast(3) }
        return (parts.dropLast().map(String.init) + ["\(base).driver.json"]).joined(separator: "/")
    }

    public mutating func sign(by key: SigningKey) throws(DriverError) {
        guard let statement else { throw DriverError(.failedPrecondition, driver: library, call: "sign", detail: "neither a hash nor a range is known of it") }
        signature = DriverSignature(of: statement, by: key)
    }

    private struct Written: Encodable {
        struct Range: Encodable { var min, max: String }
        var name, library: String
        var abi: Range?
        var sha256: String?
        var capabilities, devices: [String]?
        var signature: DriverSignature?
    }

    /// Writes this to `path`, whole or not at all. The library's path is relative where it lies beside.
    public func write(to path: String) throws(DriverError) {
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
        let written = Written(
            name: name, library: library.hasPrefix(folder) ? String(library.dropFirst(folder.count)) : library,
            abi: abi.map { .init(min: $0.minimum.description, max: $0.maximum.description) }, sha256: sha256, capabilities: capabilities,
            devices: devices.isEmpty ? nil : devices, signature: signature)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        do {
            try (encoder.encode(written) + Data("\n".utf8)).write(to: URL(filePath: path), options: .atomic)
        } catch { throw DriverError(.permissionDenied, driver: path, call: "sign", detail: "cannot be written; check the folder and its permissions") }
        chmod(path, 0o644)
    }
}
