/// The parts of a shared library's file that are read before any of its code runs: what it is built for, and its notes.
///
/// The bytes are untrusted. Every offset is checked before it is used; memory stays bounded whatever the file says. A plain value.
package struct ELFFile: Sendable, Hashable {
    /// One record of a PT_NOTE segment.
    package struct Note: Sendable, Hashable {
        package var owner: [UInt8]
        package var type: UInt32
        package var contents: [UInt8]
    }
    package let notes: [Note]

    /// Reads `count` bytes at an offset; fewer or none where the file ends before.
    typealias Reader = (_ offset: UInt64, _ count: Int) -> [UInt8]

    /// What is looked at of one file, at most.
    static let segmentLimit = 1_024
    static let noteBytesLimit = 1 << 20
    private static let noteLimit = 256
    private static let headerSize = 64
    private static let segmentSize = 56

    #if arch(x86_64)
        static let machine: UInt16 = 62
    #elseif arch(arm64)
        static let machine: UInt16 = 183
    #elseif arch(riscv64)
        static let machine: UInt16 = 243
    #else
        static let machine: UInt16 = 0
    #endif
    private static let machines: [UInt16: String] = [
        3: "i386", 8: "MIPS", 20: "PowerPC", 21: "PowerPC64", 22: "S/390", 40: "ARM", 62: "x86-64", 183: "AArch64", 243: "RISC-V", 258: "LoongArch",
    ]

    package init(_ bytes: [UInt8]) throws(ELFError) {
        try self.init(byteCount: UInt64(bytes.count)) { offset, count in
            guard offset < UInt64(bytes.count) else { return [] }
            return Array(bytes[Int(offset)...].prefix(count))
        }
    }

    /// Reads the file's header, its program headers and its notes.
    init(byteCount: UInt64, _ read: Reader) throws(ELFError) {
        let header = Fields(read(0, Self.headerSize))
        try Self.checkIdentity(header, byteCount)
        let count = Int(header.u16(56))
        guard header.u16(54) == UInt16(Self.segmentSize) else { throw ELFError("its program headers have \(header.u16(54)) bytes each, where ELF has \(Self.segmentSize)") }
        guard (1...Self.segmentLimit).contains(count) else { throw ELFError("it has \(count) program headers, where 1 to \(Self.segmentLimit) are read") }
        let table = try Self.bytes(read, byteCount, at: header.u64(32), count * Self.segmentSize, "its program headers")
        notes = try Self.notes(table, count, byteCount, read)
    }

    private static func checkIdentity(_ header: Fields, _ byteCount: UInt64) throws(ELFError) {
        let magic = header.bytes.prefix(4)
        guard magic.elementsEqual([0x7F, 0x45, 0x4C, 0x46].prefix(max(1, magic.count))) else {
            throw ELFError(magic.isEmpty ? "the file is empty" : "it is no ELF file: it begins with \(shown(header.bytes.prefix(8)))")
        }
        guard header.bytes.count == headerSize else { throw ELFError("it is cut short: \(byteCount) bytes, where ELF's header alone has \(headerSize)") }
        guard header.bytes[4] == 2 else { throw ELFError("it is a 32-bit library, where this host is 64-bit") }
        guard header.bytes[5] == 1 else { throw ELFError("it is big-endian, where this host is little-endian") }
        guard header.u16(18) == machine else {
            throw ELFError("it is built for \(name(of: header.u16(18))), where this machine is \(name(of: machine))")
        }
        guard header.u16(16) == 3 else { throw ELFError("its ELF type is \(header.u16(16)), where a shared library's is 3 (link it with -shared)") }
    }

    private static func name(of machine: UInt16) -> String { machines[machine] ?? "machine \(machine)" }

    private static func shown(_ bytes: ArraySlice<UInt8>) -> String {
        let printable = bytes.prefix { (0x20..<0x7F).contains($0) }
        guard printable.count < 2 else { return "\"\(String(decoding: printable, as: UTF8.self))\"" }
        return "bytes " + bytes.map { [$0].hex }.joined(separator: " ")
    }

    /// `count` bytes at `offset`, all of them.
    private static func bytes(
        _ read: Reader, _ byteCount: UInt64, at offset: UInt64, _ count: Int, _ what: String
    ) throws(ELFError) -> [UInt8] {
        let (end, overflows) = offset.addingReportingOverflow(UInt64(count))
        guard !overflows, end <= byteCount else { throw ELFError("it is cut short or damaged: \(what) end past byte \(byteCount), where the file ends") }
        let bytes = read(offset, count)
        guard bytes.count == count else { throw ELFError("it is cut short: \(what) cannot be read") }
        return bytes
    }

    private static func notes(_ table: [UInt8], _ count: Int, _ byteCount: UInt64, _ read: Reader) throws(ELFError) -> [Note] {
        let table = Fields(table)
        var notes: [Note] = []
        var room = noteBytesLimit
        for index in 0..<count {
            let at = index * segmentSize
            let (offset, size) = (table.u64(at + 8), table.u64(at + 32))
            if table.u32(at) == 1 {
                let (end, overflows) = offset.addingReportingOverflow(size)
                guard !overflows, end <= byteCount else { throw ELFError("it is cut short: a segment ends past byte \(byteCount), where the file ends") }
            }
            guard table.u32(at) == 4, size > 0 else { continue }
            guard size <= UInt64(room) else { throw ELFError("its notes have more than the \(noteBytesLimit) bytes that are read") }
            room -= Int(size)
            let segment = try bytes(read, byteCount, at: offset, Int(size), "its notes")
            try walk(segment, alignment: table.u64(at + 48) == 8 ? 8 : 4, into: &notes)
        }
        return notes
    }

    /// Takes the records of one segment apart. A record that does not fit is damage.
    private static func walk(_ segment: [UInt8], alignment: Int, into notes: inout [Note]) throws(ELFError) {
        let fields = Fields(segment)
        func aligned(_ count: Int) -> Int { (count + alignment - 1) / alignment * alignment }
        var at = 0
        while segment.count - at >= 12 {
            let (ownerSize, size) = (Int(fields.u32(at)), Int(fields.u32(at + 4)))
            let contents = at + aligned(12 + ownerSize)
            guard contents <= segment.count, size <= segment.count - contents else { throw ELFError("a note in it runs past the end of its segment") }
            guard notes.count < noteLimit else { throw ELFError("it has more than the \(noteLimit) notes that are read") }
            let owner = segment[(at + 12)..<(at + 12 + ownerSize)].prefix { $0 != 0 }
            notes.append(Note(owner: Array(owner), type: fields.u32(at + 8), contents: Array(segment[contents..<(contents + size)])))
            at = contents + aligned(size)
        }
    }
}

/// Why a file is not a library that can be loaded here; completes "the file …".
package struct ELFError: Error, Sendable, Hashable {
    package var words: String
    package init(_ words: String) { self.words = words }
}

/// Little-endian numbers among bytes; 0 past the end.
struct Fields {
    let bytes: [UInt8]
    init(_ bytes: [UInt8]) { self.bytes = bytes }

    private func number(_ at: Int, _ width: Int) -> UInt64 {
        guard at >= 0, width <= bytes.count, at <= bytes.count - width else { return 0 }
        return (0..<width).reduce(0) { $0 | UInt64(bytes[at + $1]) << UInt64($1 * 8) }
    }
    func u16(_ at: Int) -> UInt16 { UInt16(truncatingIfNeeded: number(at, 2)) }
    func u32(_ at: Int) -> UInt32 { UInt32(truncatingIfNeeded: number(at, 4)) }
    func u64(_ at: Int) -> UInt64 { number(at, 8) }

    /// The text of a field that is padded with zeros; nil where it is not printable UTF-8.
    func text(_ at: Int, _ width: Int) -> String? {
        guard at >= 0, width <= bytes.count, at <= bytes.count - width else { return nil }
        let text = String(validating: bytes[at..<(at + width)].prefix { $0 != 0 }, as: UTF8.self)
        guard let text, text.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F }) else { return nil }
        return text
    }
}
