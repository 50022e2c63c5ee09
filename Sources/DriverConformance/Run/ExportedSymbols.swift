import Glibc

/// The names a shared library exports, read from its bytes: the dynamic symbols of a 64-bit little-endian ELF file that are defined and visible.
struct ExportedSymbols {
    let names: [String]

    init(of path: String) throws { names = try ELF(LibraryBytes.read(path)).exported() }
}

/// A library's file, whole.
enum LibraryBytes {
    private static let limit = 1 << 30

    static func read(_ path: String) throws -> [UInt8] {
        guard let file = fopen(path, "r") else { throw Broken("\(path) cannot be read: \(String(cString: strerror(errno)))") }
        defer { fclose(file) }
        fseek(file, 0, SEEK_END)
        let size = ftell(file)
        try require(size > 64 && size < limit, "\(path) has \(size) bytes, which is no shared library")
        rewind(file)
        var bytes = [UInt8](repeating: 0, count: size)
        let got = bytes.withUnsafeMutableBytes { fread($0.baseAddress, 1, $0.count, file) }
        try require(got == size, "\(path) cannot be read whole")
        return bytes
    }
}

/// The parts of an ELF file that say what it exports; every offset in it is checked before it is used.
private struct ELF {
    private let bytes: [UInt8]
    private static let limit = 1 << 30

    init(_ bytes: [UInt8]) throws {
        try require(Array(bytes[0..<6]) == [0x7F, 0x45, 0x4C, 0x46, 2, 1], "it is not a 64-bit little-endian ELF file")
        self.bytes = bytes
    }

    private func number(_ at: Int, _ width: Int) throws -> Int {
        try require(at >= 0 && at <= bytes.count - width, "the file ends before byte \(at)")
        let value = (0..<width).reduce(UInt64(0)) { $0 | UInt64(bytes[at + $1]) << UInt64($1 * 8) }
        try require(value <= UInt64(Self.limit) || width < 8, "an offset in the file lies at \(value)")
        return Int(value)
    }

    /// The numbers of a section's header that matter here.
    private struct Section { var type, offset, size, link: Int }

    private func section(_ index: Int) throws -> Section {
        let at = try number(0x28, 8) + index * number(0x3A, 2)
        let type = try number(at + 4, 4)
        guard type == 11 || type == 3 else { return Section(type: type, offset: 0, size: 0, link: 0) }
        return Section(type: type, offset: try number(at + 24, 8), size: try number(at + 32, 8), link: try number(at + 40, 4))
    }

    func exported() throws -> [String] {
        for index in 0..<(try number(0x3C, 2)) {
            let table = try section(index)
            guard table.type == 11 else { continue }
            let text = try section(table.link)
            return try (0..<table.size / 24).compactMap { try name(table.offset + $0 * 24, text) }
        }
        throw Broken("the file has no table of dynamic symbols")
    }

    /// The name of the symbol at `at`, if it is one that others may use.
    private func name(_ at: Int, _ text: Section) throws -> String? {
        let (binding, visibility) = (try number(at + 4, 1) >> 4, try number(at + 5, 1) & 3)
        guard [1, 2, 10].contains(binding), visibility == 0 || visibility == 3, try number(at + 6, 2) != 0 else { return nil }
        let start = text.offset + (try number(at, 4))
        try require(start < bytes.count, "a symbol's name lies past the end of the file")
        return String(decoding: bytes[start...].prefix { $0 != 0 }, as: UTF8.self)
    }
}
