/// Reads the text of a signature from left to right, once.
struct ForeignSignatureParser {
    private let text: String
    private let characters: [Character]
    private var position = 0

    init(_ text: String) throws(ForeignError) {
        guard text.utf8.count <= ForeignSignature.maximumLength else {
            throw ForeignError(
                .signature, column: 1,
                "a signature of \(text.utf8.count) bytes is longer than \(ForeignSignature.maximumLength); write one like 'f64 cos(f64)'")
        }
        self.text = text
        self.characters = Array(text)
    }

    mutating func signature() throws(ForeignError) -> ForeignSignature {
        let result = try type(orVoid: true, of: "the result")
        let name = word() ?? ""
        try expect("(", because: "the parameters follow the function's name in parentheses")
        let list = try parameters()
        skipSpace()
        guard position == characters.count else {
            throw failure("'\(characters[position])' follows the signature; end it at ')'")
        }
        return ForeignSignature(result: result, name: name, parameters: list)
    }

    private mutating func parameters() throws(ForeignError) -> [ForeignSignature.Parameter] {
        if accept(")") { return [] }
        if acceptOnlyVoid() { return [] }
        var list: [ForeignSignature.Parameter] = []
        repeat {
            guard list.count < ForeignSignature.maximumParameters else {
                throw failure("more than \(ForeignSignature.maximumParameters) parameters")
            }
            let type = try type(orVoid: false, of: "a parameter")
            list.append(ForeignSignature.Parameter(type: type, name: word()))
        } while accept(",")
        try expect(")", because: "a parameter is followed by ',' or ')'")
        return list
    }

    /// `(void)`, C's way of writing no parameters.
    private mutating func acceptOnlyVoid() -> Bool {
        let start = position
        if word() == "void", accept(")") { return true }
        position = start
        return false
    }

    private mutating func type(orVoid: Bool, of what: String) throws(ForeignError) -> ForeignType {
        skipSpace()
        var start = position
        var name = word()
        while name == "const" {
            skipSpace()
            start = position
            name = word()
        }
        guard let name else { throw unexpected(what) }
        guard let base = ForeignType.named[name] else { throw unknown(name, at: start) }
        let type = try stars(after: base)
        if type == .void, !orVoid {
            throw failure("\(what) cannot be void; write 'ptr' for an address of anything", at: start)
        }
        return type
    }

    private mutating func stars(after base: ForeignType) throws(ForeignError) -> ForeignType {
        var type = base
        var count = 0
        while accept("*") {
            count += 1
            guard count <= ForeignSignature.maximumIndirection else {
                throw failure("more than \(ForeignSignature.maximumIndirection) stars", at: position - 1)
            }
            // `void*` is ptr: an address whose target is not stated.
            type = type == .void ? .pointer(to: nil) : .pointer(to: type)
        }
        return type
    }

    private func unexpected(_ what: String) -> ForeignError {
        guard position < characters.count else { return failure("the text ends where the type of \(what) should be") }
        if characters[position] == "." {
            return failure("functions with a variable number of arguments cannot be called; name a function with a fixed list")
        }
        return failure("'\(characters[position])' stands where the type of \(what) should be")
    }

    private func unknown(_ name: String, at start: Int) -> ForeignError {
        if let known = ForeignType.equivalents[name] { return failure("unknown type '\(name)'; write '\(known)'", at: start) }
        if name == "struct" || name == "union" {
            return failure("a \(name) cannot be passed by value; pass its address as 'ptr'", at: start)
        }
        return failure("unknown type '\(name)'; the types are void, bool, i8...i64, u8...u64, f32, f64, T*, ptr, str, callback", at: start)
    }

    private mutating func expect(_ character: Character, because reason: String) throws(ForeignError) {
        if accept(character) { return }
        let found = position < characters.count ? "'\(characters[position])'" : "the end"
        throw failure("expected '\(character)' and found \(found): \(reason)")
    }

    private mutating func accept(_ character: Character) -> Bool {
        skipSpace()
        guard position < characters.count, characters[position] == character else { return false }
        position += 1
        return true
    }

    /// The identifier of C that starts here, if one does.
    private mutating func word() -> String? {
        skipSpace()
        let start = position
        while position < characters.count, isWord(characters[position], first: position == start) { position += 1 }
        return position == start ? nil : String(characters[start..<position])
    }

    private func isWord(_ character: Character, first: Bool) -> Bool {
        guard let byte = character.asciiValue else { return false }
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"): return true
        case UInt8(ascii: "0")...UInt8(ascii: "9"): return !first
        default: return false
        }
    }

    private mutating func skipSpace() {
        while position < characters.count, characters[position].isWhitespace { position += 1 }
    }

    private func failure(_ words: String, at place: Int? = nil) -> ForeignError {
        let column = (place ?? position) + 1
        return ForeignError(.signature, column: column, "signature \(ForeignText.quoted(text)), column \(column): \(words)")
    }
}
