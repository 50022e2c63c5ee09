import Glibc

/// Text on its way to and from C.
enum ForeignText {
    /// Text for an error line: in quotes, on one line, cut when it is long.
    static func quoted(_ text: String, limit: Int = 120) -> String {
        let shown = text.unicodeScalars.prefix(limit).map { scalar in
            scalar.value < 0x20 || scalar.value == 0x7F || Character(scalar).isNewline ? "?" : String(scalar)
        }
        return "'\(shown.joined())\(text.unicodeScalars.count > limit ? "..." : "")'"
    }

    /// True when C would see the whole text: no NUL inside.
    static func isWhole(_ text: String) -> Bool { !text.utf8.contains(0) }

    /// A NUL-terminated copy. Ownership: the caller's, to give to `free`. Null when memory ran out.
    static func copy(_ text: String) -> UnsafeMutablePointer<CChar>? { text.withCString { strdup($0) } }

    /// The text at a NUL-terminated address, ill-formed UTF-8 repaired.
    static func read(_ address: UnsafeMutableRawPointer) -> String {
        String(cString: UnsafePointer(address.assumingMemoryBound(to: CChar.self)))
    }
}
