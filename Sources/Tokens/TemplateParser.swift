/// Reads tokens into statements and expressions. What is outside the subset is refused here, by name and line.
struct TemplateParser {
    private let tokens: [TemplateToken]
    private var at = 0
    private var depth = 0
    private static let deepest = 64
    private static let filters: Set = ["trim", "length", "count", "upper", "lower", "default", "string"]
    private static let methods: Set = ["strip", "lstrip", "rstrip", "upper", "lower", "startswith", "endswith"]

    init(tokens: [TemplateToken]) { self.tokens = tokens }

    mutating func template() throws(TokensError) -> [TemplateNode] {
        let body = try nodes(until: [])
        guard current == .end else { throw unexpected() }
        return body
    }

    private var current: TemplateToken.Kind { tokens[min(at, tokens.count - 1)].kind }
    private var line: Int { tokens[min(at, tokens.count - 1)].line }
    private func fail(_ words: String) -> TokensError { TokensError("chat template, line \(line): \(words)") }

    private func unexpected() -> TokensError {
        switch current {
        case .end: fail("it ends where more is needed")
        case .name(let name): fail("'\(name)' is outside the part of Jinja that chat templates use here")
        case .symbol(let symbol): fail("'\(symbol)' is not understood here")
        default: fail("the tag ends or begins where it should not")
        }
    }

    private mutating func take(_ kind: TemplateToken.Kind) -> Bool {
        guard current == kind else { return false }
        at += 1
        return true
    }
    private mutating func need(_ kind: TemplateToken.Kind) throws(TokensError) { guard take(kind) else { throw unexpected() } }

    private mutating func name() throws(TokensError) -> String {
        guard case .name(let name) = current else { throw unexpected() }
        at += 1
        return name
    }

    /// The keyword of a statement that begins here.
    private var keyword: String? {
        guard current == .openStatement, at + 1 < tokens.count, case .name(let name) = tokens[at + 1].kind else { return nil }
        return name
    }

    private mutating func deeper<R>(_ body: (inout TemplateParser) throws(TokensError) -> R) throws(TokensError) -> R {
        guard depth < Self.deepest else { throw fail("it nests more than \(Self.deepest) deep") }
        depth += 1
        defer { depth -= 1 }
        return try body(&self)
    }

    private mutating func nodes(until ends: Set<String>) throws(TokensError) -> [TemplateNode] {
        var found: [TemplateNode] = []
        while current != .end {
            if let keyword, ends.contains(keyword) { break }
            found.append(try deeper { (parser: inout TemplateParser) throws(TokensError) in try parser.node() })
        }
        return found
    }

    private mutating func node() throws(TokensError) -> TemplateNode {
        switch current {
        case .text(let text):
            at += 1
            return .text(text)
        case .openOutput:
            at += 1
            let value = try expression()
            try need(.closeOutput)
            return .output(value)
        case .openStatement:
            at += 1
            return try statement()
        default: throw unexpected()
        }
    }

    private mutating func statement() throws(TokensError) -> TemplateNode {
        switch current {
        case .name("if"): return try branch()
        case .name("for"): return try loop()
        case .name("set"):
            at += 1
            let variable = try name()
            try need(.symbol("="))
            let value = try expression()
            try need(.closeStatement)
            return .set(variable, value)
        default: throw unexpected()
        }
    }

    private mutating func branch() throws(TokensError) -> TemplateNode {
        var arms: [(condition: TemplateExpression?, body: [TemplateNode])] = []
        at += 1
        var condition: TemplateExpression? = try expression()
        while true {
            try need(.closeStatement)
            arms.append((condition, try nodes(until: ["elif", "else", "endif"])))
            try need(.openStatement)
            let word = try name()
            if word == "endif" {
                try need(.closeStatement)
                return .branch(arms)
            }
            guard condition != nil else { throw fail("'\(word)' after else") }
            condition = word == "elif" ? try expression() : nil
        }
    }

    private mutating func loop() throws(TokensError) -> TemplateNode {
        at += 1
        let variable = try name()
        try need(.name("in"))
        let over = try disjunction()
        try need(.closeStatement)
        let body = try nodes(until: ["endfor"])
        try need(.openStatement)
        try need(.name("endfor"))
        try need(.closeStatement)
        return .loop(variable: variable, over: over, body: body)
    }

    // Expressions, loosest first.

    private mutating func expression() throws(TokensError) -> TemplateExpression {
        try deeper { (parser: inout TemplateParser) throws(TokensError) in
            let value = try parser.disjunction()
            guard parser.take(.name("if")) else { return value }
            let condition = try parser.disjunction()
            let otherwise = parser.take(.name("else")) ? try parser.expression() : .constant(.undefined)
            return .choose(value, condition: condition, otherwise: otherwise)
        }
    }

    private mutating func disjunction() throws(TokensError) -> TemplateExpression {
        var left = try conjunction()
        while current == .name("or") {
            let line = line
            at += 1
            left = .binary("or", left, try conjunction(), line: line)
        }
        return left
    }

    private mutating func conjunction() throws(TokensError) -> TemplateExpression {
        var left = try negation()
        while current == .name("and") {
            let line = line
            at += 1
            left = .binary("and", left, try negation(), line: line)
        }
        return left
    }

    private mutating func negation() throws(TokensError) -> TemplateExpression {
        let line = line
        guard take(.name("not")) else { return try comparison() }
        return .unary("not", try deeper { (parser: inout TemplateParser) throws(TokensError) in try parser.negation() }, line: line)
    }

    private mutating func comparison() throws(TokensError) -> TemplateExpression {
        let left = try sum()
        let line = line
        if case .symbol(let symbol) = current, ["==", "!=", "<", ">", "<=", ">="].contains(symbol) {
            at += 1
            return .binary(symbol, left, try sum(), line: line)
        }
        if take(.name("in")) { return .binary("in", left, try sum(), line: line) }
        if current == .name("not"), at + 1 < tokens.count, tokens[at + 1].kind == .name("in") {
            at += 2
            return .unary("not", .binary("in", left, try sum(), line: line), line: line)
        }
        return left
    }

    private mutating func sum() throws(TokensError) -> TemplateExpression {
        var left = try tested()
        while case .symbol(let symbol) = current, ["+", "-", "~", "%"].contains(symbol) {
            let line = line
            at += 1
            left = .binary(symbol, left, try tested(), line: line)
        }
        return left
    }

    private mutating func tested() throws(TokensError) -> TemplateExpression {
        var value = try postfix()
        while true {
            let line = line
            if take(.symbol("|")) {
                let filter = try name()
                guard Self.filters.contains(filter) else { throw fail("the filter '\(filter)' is not known; known: \(Self.filters.sorted().joined(separator: ", "))") }
                value = .filter(value, filter, current == .symbol("(") ? try arguments() : [], line: line)
            } else if take(.name("is")) {
                let negated = take(.name("not"))
                let test = try name()
                guard ["defined", "undefined", "none", "string"].contains(test) else { throw fail("the test 'is \(test)' is not known") }
                value = .test(value, test, negated: negated)
            } else {
                return value
            }
        }
    }

    private mutating func postfix() throws(TokensError) -> TemplateExpression {
        var value = try primary()
        while true {
            let line = line
            if take(.symbol(".")) {
                let member = try name()
                if current == .symbol("(") {
                    guard Self.methods.contains(member) else { throw fail("the method '\(member)' is not known; known: \(Self.methods.sorted().joined(separator: ", "))") }
                    value = .method(value, member, try arguments(), line: line)
                } else {
                    value = .attribute(value, member, line: line)
                }
            } else if take(.symbol("[")) {
                value = try subscripted(value, line)
            } else {
                return value
            }
        }
    }

    private mutating func subscripted(_ value: TemplateExpression, _ line: Int) throws(TokensError) -> TemplateExpression {
        let from = current == .symbol(":") ? nil : try expression()
        if take(.symbol(":")) {
            let to = current == .symbol("]") ? nil : try expression()
            try need(.symbol("]"))
            return .slice(value, from: from, to: to, line: line)
        }
        try need(.symbol("]"))
        return .index(value, from ?? .constant(.undefined), line: line)
    }

    private mutating func arguments() throws(TokensError) -> [TemplateExpression] {
        try need(.symbol("("))
        var found: [TemplateExpression] = []
        while !take(.symbol(")")) {
            if !found.isEmpty { try need(.symbol(",")) }
            found.append(try expression())
        }
        return found
    }

    private mutating func primary() throws(TokensError) -> TemplateExpression {
        let line = line
        switch current {
        case .string(let text):
            at += 1
            var all = text
            while case .string(let more) = current {
                all += more
                at += 1
            }
            return .constant(.text(all))
        case .integer(let value):
            at += 1
            return .constant(.integer(value))
        case .symbol("-"):
            at += 1
            return .unary("-", try deeper { (parser: inout TemplateParser) throws(TokensError) in try parser.postfix() }, line: line)
        case .symbol("("):
            at += 1
            let value = try expression()
            try need(.symbol(")"))
            return value
        case .name(let name): return try named(name)
        default: throw unexpected()
        }
    }

    private mutating func named(_ name: String) throws(TokensError) -> TemplateExpression {
        let constants: [String: TemplateValue] = [
            "true": .boolean(true), "True": .boolean(true), "false": .boolean(false), "False": .boolean(false), "none": .none, "None": .none,
        ]
        at += 1
        if let constant = constants[name] { return .constant(constant) }
        guard current == .symbol("(") else { return .name(name) }
        guard name == "raise_exception" else { throw fail("the function '\(name)' is not known; only raise_exception is") }
        let given = try arguments()
        return .raise(given.first ?? .constant(.text("the template raised an exception")))
    }
}
