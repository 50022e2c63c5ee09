// SPDX-License-Identifier: Apache-2.0

/// Reads one JSON object whose values are strings, numbers and booleans; all a shape file may hold. Anything else is an error with its
/// line and column. Source of the grammar: RFC 8259.
struct FlatJSON {
    enum Value: Equatable {
        case string(String)
        case integer(UInt64)
        case number(Double)
        case bool(Bool)
    }

    /// A member and where its key stands.
    struct Member {
        var key: String
        var value: Value
        var place: String
    }

    private let file: String
    private let bytes: [UInt8]
    private var position = 0

    /// The members of the object in `bytes`, in order, no key twice.
    static func members(of bytes: [UInt8], file: String) throws(ModelError) -> [Member] {
        var reader = FlatJSON(file: file, bytes: bytes)
        return try reader.object()
    }

    private init(file: String, bytes: [UInt8]) {
        self.file = file
        self.bytes = bytes
    }

    private mutating func object() throws(ModelError) -> [Member] {
        var members: [Member] = []
        try expect("{")
        if peek() == UInt8(ascii: "}") { position += 1 } else {
            repeat {
                let member = try member()
                guard members.count < 64 else { throw wrong("more than 64 keys", at: member.place) }
                guard !members.contains(where: { $0.key == member.key }) else {
                    throw wrong("key \"\(printable(member.key))\" appears twice", at: member.place)
                }
                members.append(member)
            } while try comma()
        }
        guard peek() == nil else { throw wrong("there is text after the object") }
        return members
    }

    private mutating func member() throws(ModelError) -> Member {
        _ = peek()
        let place = place
        let key = try string()
        try expect(":")
        return Member(key: key, value: try value(), place: place)
    }

    /// True after a comma, false after the closing brace.
    private mutating func comma() throws(ModelError) -> Bool {
        switch peek() {
        case UInt8(ascii: ","): position += 1; return true
        case UInt8(ascii: "}"): position += 1; return false
        default: throw wrong("a comma or a closing brace is missing")
        }
    }

    private mutating func value() throws(ModelError) -> Value {
        if peek() == UInt8(ascii: "\"") { return .string(try string()) }
        let start = position
        while position < bytes.count, !Self.endsWord(bytes[position]) { position += 1 }
        let word = String(decoding: bytes[start..<position], as: UTF8.self)
        switch word {
        case "true": return .bool(true)
        case "false": return .bool(false)
        default: break
        }
        if let value = Self.number(word) { return value }
        throw wrong("\"\(printable(word, limit: 40))\" is not a string, a number, true or false", at: place(of: start))
    }

    private static func number(_ word: String) -> Value? {
        let digits = word.utf8.drop { $0 == UInt8(ascii: "-") }
        guard let first = digits.first, (48...57).contains(first), word.utf8.allSatisfy({ numberBytes.contains($0) }) else { return nil }
        if first == UInt8(ascii: "0"), let second = digits.dropFirst().first, (48...57).contains(second) { return nil }
        if let integer = UInt64(word) { return .integer(integer) }
        return Double(word).flatMap { $0.isFinite ? .number($0) : nil }
    }

    private static let numberBytes = Set("0123456789+-.eE".utf8)

    /// No escapes: every key and value a shape file knows is plain.
    private mutating func string() throws(ModelError) -> String {
        try expect("\"")
        let start = position
        while position < bytes.count, bytes[position] != UInt8(ascii: "\"") {
            guard bytes[position] >= 0x20, bytes[position] != UInt8(ascii: "\\") else {
                throw wrong("strings here have no escapes and stay on one line")
            }
            position += 1
        }
        guard position < bytes.count else { throw wrong("a string has no end", at: place(of: start)) }
        defer { position += 1 }
        guard let text = String(validating: bytes[start..<position], as: UTF8.self) else {
            throw wrong("a string is not UTF-8", at: place(of: start))
        }
        return text
    }

    private mutating func expect(_ symbol: Unicode.Scalar) throws(ModelError) {
        guard let next = peek(), next == UInt8(ascii: symbol) else { throw wrong("`\(symbol)` is missing") }
        position += 1
    }

    /// The next byte that is not white space, where `position` then stands.
    private mutating func peek() -> UInt8? {
        while position < bytes.count, Self.isSpace(bytes[position]) { position += 1 }
        return position < bytes.count ? bytes[position] : nil
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 }

    private static func endsWord(_ byte: UInt8) -> Bool { isSpace(byte) || byte == UInt8(ascii: ",") || byte == UInt8(ascii: "}") }

    private var place: String { place(of: position) }

    private func place(of position: Int) -> String {
        let before = bytes[..<position]
        let lineStart = before.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
        return "line \(before.count { $0 == 0x0A } + 1), column \(position - lineStart + 1)"
    }

    private func wrong(_ problem: String, at place: String? = nil) -> ModelError {
        ModelError(.corrupt, file, "\(place ?? self.place): \(problem)", remedy: "write one JSON object of names and plain values")
    }
}
