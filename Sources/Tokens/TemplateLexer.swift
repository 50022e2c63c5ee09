/// A piece of a template with the line it stands on.
struct TemplateToken: Hashable {
    enum Kind: Hashable {
        case text(String)
        case openOutput, closeOutput, openStatement, closeStatement
        case name(String), string(String), integer(Int), symbol(String)
        case end
    }
    var kind: Kind
    var line: Int
}

/// Cuts a template into text and tokens, with Jinja's control of white space.
struct TemplateLexer {
    private let source: [Unicode.Scalar]
    private var at = 0
    private var line = 1
    private var found: [TemplateToken] = []
    private static let limit = 1 << 20

    init(_ text: String) throws(TokensError) {
        var scalars = Array(text.unicodeScalars)
        guard scalars.count <= Self.limit else { throw TokensError("the chat template has \(scalars.count) characters; at most \(Self.limit) are read") }
        if scalars.last == "\n" { scalars.removeLast() }
        source = scalars
    }

    func tokens() throws(TokensError) -> [TemplateToken] {
        var lexer = self
        try lexer.run()
        return lexer.found
    }

    private mutating func run() throws(TokensError) {
        var trimsStart = false
        while at < source.count {
            let start = at
            while at < source.count, !opens(at) { at += 1 }
            addText(start, at, trimsStart: trimsStart)
            trimsStart = false
            guard at < source.count else { break }
            let kind = source[at + 1]
            at += 2
            if peek == "-" || peek == "+" { at += 1 }
            trimsStart = try kind == "#" ? comment() : code(isOutput: kind == "{")
        }
        found.append(TemplateToken(kind: .end, line: line))
    }

    private var peek: Unicode.Scalar? { at < source.count ? source[at] : nil }
    private func opens(_ index: Int) -> Bool {
        source[index] == "{" && index + 1 < source.count && ["{", "%", "#"].contains(source[index + 1])
    }
    private static func isSpace(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.isWhitespace }

    /// Text between tags: lstrip_blocks drops blanks from the start of a line to a statement or comment, `-` drops all white space.
    private mutating func addText(_ start: Int, _ end: Int, trimsStart: Bool) {
        var (low, high) = (start, end)
        if trimsStart { while low < high, Self.isSpace(source[low]) { low += 1 } }
        if end < source.count {
            let sign = end + 2 < source.count ? source[end + 2] : " "
            if sign == "-" {
                while high > low, Self.isSpace(source[high - 1]) { high -= 1 }
            } else if source[end + 1] != "{", sign != "+" {
                var edge = high
                while edge > low, source[edge - 1] == " " || source[edge - 1] == "\t" { edge -= 1 }
                if edge == low ? (low == 0 || source[low - 1] == "\n") : source[edge - 1] == "\n" { high = edge }
            }
        }
        var text = String.UnicodeScalarView()
        text.append(contentsOf: source[low..<high])
        if low < high { found.append(TemplateToken(kind: .text(String(text)), line: line)) }
        line += source[start..<end].count { $0 == "\n" }
    }

    /// Past a tag's end: `-` asks for the following white space to go; without it trim_blocks drops one newline after a statement or comment.
    private mutating func afterTag(minus: Bool, isOutput: Bool) -> Bool {
        if !minus, !isOutput, peek == "\n" {
            at += 1
            line += 1
        }
        return minus
    }

    private mutating func comment() throws(TokensError) -> Bool {
        let opened = line
        while at + 1 < source.count, !(source[at] == "#" && source[at + 1] == "}") {
            if source[at] == "\n" { line += 1 }
            at += 1
        }
        guard at + 1 < source.count else { throw TokensError("chat template, line \(opened): a comment is not closed") }
        let minus = source[at - 1] == "-"
        at += 2
        return afterTag(minus: minus, isOutput: false)
    }

    private mutating func code(isOutput: Bool) throws(TokensError) -> Bool {
        found.append(TemplateToken(kind: isOutput ? .openOutput : .openStatement, line: line))
        let close: Unicode.Scalar = isOutput ? "}" : "%"
        let opened = line
        while at < source.count {
            let minus = source[at] == "-" || source[at] == "+"
            let edge = minus ? at + 1 : at
            if edge + 1 < source.count, source[edge] == close, source[edge + 1] == "}" {
                let strips = source[at] == "-"
                at = edge + 2
                found.append(TemplateToken(kind: isOutput ? .closeOutput : .closeStatement, line: line))
                return afterTag(minus: strips, isOutput: isOutput)
            }
            try token()
        }
        throw TokensError("chat template, line \(opened): a tag is not closed")
    }

    private mutating func token() throws(TokensError) {
        let scalar = source[at]
        if Self.isSpace(scalar) {
            if scalar == "\n" { line += 1 }
            at += 1
        } else if scalar == "'" || scalar == "\"" {
            try string(scalar)
        } else if scalar.properties.isAlphabetic || scalar == "_" {
            add(.name(take { $0.properties.isAlphabetic || $0 == "_" || ("0"..."9").contains($0) }))
        } else if ("0"..."9").contains(scalar) {
            let digits = take { ("0"..."9").contains($0) }
            guard let value = Int(digits) else { throw TokensError("chat template, line \(line): the number \(digits) is too large") }
            add(.integer(value))
        } else {
            try symbol()
        }
    }

    private mutating func add(_ kind: TemplateToken.Kind) { found.append(TemplateToken(kind: kind, line: line)) }

    private mutating func take(while holds: (Unicode.Scalar) -> Bool) -> String {
        var text = String.UnicodeScalarView()
        while at < source.count, holds(source[at]) {
            text.append(source[at])
            at += 1
        }
        return String(text)
    }

    private mutating func string(_ quote: Unicode.Scalar) throws(TokensError) {
        let opened = line
        var text = String.UnicodeScalarView()
        at += 1
        while let scalar = peek, scalar != quote {
            at += 1
            if scalar == "\n" { line += 1 }
            guard scalar == "\\", let escaped = peek else { text.append(scalar); continue }
            at += 1
            switch escaped {
            case "n": text.append("\n")
            case "t": text.append("\t")
            case "r": text.append("\r")
            case "\\", "'", "\"": text.append(escaped)
            default: text.append(contentsOf: [scalar, escaped])
            }
        }
        guard peek == quote else { throw TokensError("chat template, line \(opened): a string is not closed") }
        at += 1
        found.append(TemplateToken(kind: .string(String(text)), line: opened))
    }

    private mutating func symbol() throws(TokensError) {
        let two = at + 1 < source.count ? "\(source[at])\(source[at + 1])" : ""
        if ["==", "!=", "<=", ">="].contains(two) {
            at += 2
            return add(.symbol(two))
        }
        let one = String(source[at])
        guard "+-~<>=()[]{}.,:|%*/".contains(one) else { throw TokensError("chat template, line \(line): '\(one)' is not understood") }
        at += 1
        add(.symbol(one))
    }
}
