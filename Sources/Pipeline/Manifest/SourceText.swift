// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc

/// A manifest's bytes, proven to be text: UTF-8, at most 1 MiB, no control characters, few enough aliases to expand.
struct SourceText {
    /// The most bytes of a manifest.
    static let maximumBytes = 1 << 20
    /// More than this many `*name` beside an `&name` could multiply without end. Any fewer are refused one by one, where they stand.
    private static let maximumAliases = 8

    /// The most commas and opening brackets. Reading costs the product of these and the levels they stand at.
    private static let maximumMarks = 65536

    let file: String
    let text: String

    init(_ bytes: [UInt8], file: String) throws(ManifestError) {
        guard bytes.count <= Self.maximumBytes else { throw Self.tooLarge(file, bytes) }
        let body = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(bytes.dropFirst(3)) : bytes
        self.file = file
        guard let text = String(validating: body, as: UTF8.self) else { throw Self.notUTF8(file, body) }
        self.text = text
        try refuseControls(body)
        try refuseDirectives(body)
        try refuseManyMarks(body)
        try refuseManyAliases(body)
    }

    /// Reads the file at `path`.
    init(contentsOf path: String) throws(ManifestError) {
        try self.init(Self.read(path), file: path)
    }

    /// Where the first byte too many stands.
    private static func tooLarge(_ file: String, _ bytes: [UInt8]) -> ManifestError {
        ManifestError(
            .unreadable, file, position(of: maximumBytes, in: bytes),
            "the file has \(bytes.count) bytes or more; a manifest has at most \(maximumBytes), which end here")
    }

    private static func notUTF8(_ file: String, _ bytes: [UInt8]) -> ManifestError {
        var parser = UTF8.ForwardParser()
        var iterator = bytes.makeIterator()
        var (line, column) = (1, 1)
        while case .valid(let encoded) = parser.parseScalar(from: &iterator) {
            (line, column) = encoded.first == UInt8(ascii: "\n") ? (line + 1, 1) : (line, column + 1)
        }
        return ManifestError(
            .unreadable, file, SourcePosition(line: line, column: column), "the bytes here are not UTF-8; save the file as UTF-8 text")
    }

    private func refuseControls(_ bytes: [UInt8]) throws(ManifestError) {
        for (offset, byte) in bytes.enumerated() where byte < 0x20 || byte == 0x7F {
            if byte == 0x09 || byte == 0x0A || byte == 0x0D { continue }
            let hex = String(byte, radix: 16, uppercase: true)
            throw ManifestError(
                .malformed, file, Self.position(of: offset, in: bytes), "the control character U+00\(byte < 16 ? "0" : "")\(hex) stands here; remove it")
        }
    }

    /// `%TAG` and `%YAML`: a manifest needs neither, and each is compared with all before it.
    private func refuseDirectives(_ bytes: [UInt8]) throws(ManifestError) {
        for (offset, byte) in bytes.enumerated() where byte == UInt8(ascii: "%") {
            guard offset == 0 || bytes[offset - 1] == 0x0A || bytes[offset - 1] == 0x0D else { continue }
            throw ManifestError(
                .malformed, file, Self.position(of: offset, in: bytes), "a YAML directive, which begins with '%'; leave this line out")
        }
    }

    private func refuseManyMarks(_ bytes: [UInt8]) throws(ManifestError) {
        let marks = [UInt8(ascii: ","), UInt8(ascii: "["), UInt8(ascii: "{")]
        var count = 0
        for (offset, byte) in bytes.enumerated() where marks.contains(byte) {
            count += 1
            guard count > Self.maximumMarks else { continue }
            throw ManifestError(
                .malformed, file, Self.position(of: offset, in: bytes),
                "more than \(Self.maximumMarks) commas and brackets; a manifest is shorter")
        }
    }

    /// A chain of aliases grows as the product of their counts, even where only a key is compared; so their number is bounded before parsing.
    /// Counts whatever could be one, in quotes and comments too.
    private func refuseManyAliases(_ bytes: [UInt8]) throws(ManifestError) {
        var aliases = 0
        var firstAlias = 0
        var hasAnchor = false
        for offset in bytes.indices.dropLast() where Self.isNameByte(bytes[offset + 1]) {
            if bytes[offset] == UInt8(ascii: "&") { hasAnchor = true }
            guard bytes[offset] == UInt8(ascii: "*") else { continue }
            if aliases == 0 { firstAlias = offset }
            aliases += 1
        }
        guard hasAnchor, aliases > Self.maximumAliases else { return }
        throw ManifestError(
            .malformed, file, Self.position(of: firstAlias, in: bytes), "\(aliases) YAML aliases; write each value where it is used")
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    private static func position(of offset: Int, in bytes: [UInt8]) -> SourcePosition {
        var (line, column) = (1, 1)
        for byte in bytes[..<offset] {
            if byte == 0x0A { (line, column) = (line + 1, 1) } else if byte & 0xC0 != 0x80 { column += 1 }
        }
        return SourcePosition(line: line, column: column)
    }

    /// All of the file, or as much of it as proves it too large.
    private static func read(_ path: String) throws(ManifestError) -> [UInt8] {
        var bytes: UnsafeMutablePointer<UInt8>?
        let count = chost_read_file(path, maximumBytes, &bytes)
        defer { free(bytes) }
        guard count >= 0 else { throw unreadable(path, Int32(-count)) }
        guard count <= maximumBytes else {
            throw ManifestError(.unreadable, path, nil, "the file has more than \(maximumBytes) bytes, the most of a manifest; give a YAML or JSON file")
        }
        return Array(UnsafeBufferPointer(start: bytes, count: count))
    }

    private static func unreadable(_ path: String, _ error: Int32) -> ManifestError {
        let reason = strerror(error).map { String(cString: $0) } ?? "error \(error)"
        return ManifestError(.unreadable, path, nil, "the manifest cannot be read: \(reason); give the path of a YAML or JSON file")
    }
}
