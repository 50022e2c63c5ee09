import CDriver

/// What a library says of itself in its ELF note, read from the file's bytes before any of its code runs. note.h gives the layout.
public struct DriverNote: Sendable, Hashable, Encodable {
    /// The contract versions that the entry will state, "1.0..1.1".
    public var abi: ABIRange
    public var name: String
    public var version: String
    /// What the author calls this build; empty where the note leaves that to the linker.
    public var build: String

    /// The note of a library; nil where it has none.
    /// - Throws: what is wrong with the note, or that there are two.
    package init?(_ file: ELFFile) throws(ELFError) {
        let owner = Array(BATON_NOTE_OWNER.utf8)
        let notes = file.notes.filter { $0.owner == owner && $0.type == BATON_NOTE_TYPE }
        guard let first = notes.first else { return nil }
        guard notes.count == 1 else { throw ELFError("it has \(notes.count) Baton notes, where a library has one") }
        try self.init(contents: first.contents)
    }

    init(contents: [UInt8]) throws(ELFError) {
        let fields = Fields(contents)
        let known = MemoryLayout<baton_note>.size
        let size = Int(fields.u32(0))
        guard size >= known, contents.count >= known else {
            throw ELFError("its Baton note states \(size) bytes and has \(contents.count), where contract 1.1 has \(known) (note.h)")
        }
        func version(_ at: Int) -> ABIVersion { ABIVersion(fields.u32(at), fields.u32(at + 4)) }
        abi = ABIRange(version(8), version(16))
        guard abi.minimum.major > 0, abi.minimum <= abi.maximum else { throw ELFError("its Baton note states ABI \(abi), which is no range") }
        guard let name = fields.text(24, 32), let own = fields.text(56, 32), let build = fields.text(88, 64) else {
            throw ELFError("its Baton note has a name, version or build that is not printable UTF-8")
        }
        guard !name.isEmpty, !name.contains("/") else { throw ELFError("its Baton note gives '\(name)', which is not a driver's name") }
        self.name = name
        self.version = own
        self.build = build
    }

    /// The linker's build id (`--build-id`), in hexadecimal, if there is one.
    package static func linkerBuildID(_ file: ELFFile) -> String? {
        file.notes.first { $0.owner == Array("GNU".utf8) && $0.type == 3 && (1...64).contains($0.contents.count) }?.contents.hex
    }

    /// What the entry said otherwise than this note, if anything: the note lies.
    package func contradiction(range: ABIRange, name: String, version: String) -> String? {
        if range != abi { return "its note says ABI \(abi) and its entry ABI \(range)" }
        if name != self.name { return "its note says name '\(self.name)' and its entry '\(name)'" }
        if version != self.version { return "its note says version '\(self.version)' and its entry '\(version)'" }
        return nil
    }
}

extension ABIRange: Encodable {
    /// As text, "1.0..1.1".
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
