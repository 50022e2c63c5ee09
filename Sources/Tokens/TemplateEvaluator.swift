/// Runs a template's statements. Work and output are bounded, so that no template can run away.
struct TemplateEvaluator {
    private var variables: [String: TemplateValue]
    private(set) var output = ""
    private var steps = 0
    private static let mostSteps = 10_000_000
    private static let mostOutput = 1 << 28

    init(variables: [String: TemplateValue]) { self.variables = variables }

    mutating func run(_ nodes: [TemplateNode]) throws(TokensError) {
        for node in nodes {
            steps += 1
            guard steps < Self.mostSteps, output.utf8.count < Self.mostOutput else { throw TokensError("the chat template does not end, or makes too much text") }
            switch node {
            case .text(let text): output += text
            case .output(let expression):
                guard let text = try value(expression).printed else { throw TokensError("the chat template prints a list or an object; only text and numbers can be printed") }
                output += text
            case .set(let name, let expression): variables[name] = try value(expression)
            case .branch(let arms): try branch(arms)
            case .loop(let variable, let over, let body): try loop(variable, over, body)
            }
        }
    }

    private mutating func branch(_ arms: [(condition: TemplateExpression?, body: [TemplateNode])]) throws(TokensError) {
        for arm in arms {
            if let condition = arm.condition, try !value(condition).isTrue { continue }
            return try run(arm.body)
        }
    }

    /// A loop has a scope of its own: what is set inside is gone after each turn, as in Jinja.
    private mutating func loop(_ variable: String, _ over: TemplateExpression, _ body: [TemplateNode]) throws(TokensError) {
        guard case .list(let items) = try value(over) else { throw TokensError("the chat template loops over what is not a list") }
        let outer = variables
        for (index, item) in items.enumerated() {
            variables = outer
            variables[variable] = item
            variables["loop"] = .object([
                "index": .integer(index + 1), "index0": .integer(index), "first": .boolean(index == 0), "last": .boolean(index == items.count - 1),
                "length": .integer(items.count), "revindex": .integer(items.count - index),
            ])
            try run(body)
        }
        variables = outer
    }

    private func value(_ expression: TemplateExpression) throws(TokensError) -> TemplateValue {
        switch expression {
        case .constant(let constant): return constant
        case .name(let name): return variables[name] ?? .undefined
        case .attribute(let base, let name, let line): return try member(try value(base), .text(name), line)
        case .index(let base, let index, let line): return try member(try value(base), try value(index), line)
        case .slice(let base, let from, let to, let line): return try slice(try value(base), try from.map(value), try to.map(value), line)
        case .unary(let symbol, let operand, let line): return try unary(symbol, try value(operand), line)
        case .binary(let symbol, let left, let right, let line): return try binary(symbol, left, right, line)
        case .test(let base, let test, let negated): return .boolean(Self.test(try value(base), test) != negated)
        case .filter(let base, let name, let arguments, let line): return try Self.filter(try value(base), name, try arguments.map(value), line)
        case .method(let base, let name, let arguments, let line): return try Self.method(try value(base), name, try arguments.map(value), line)
        case .raise(let words): throw TokensError("the chat template refuses the messages: \(try value(words).printed ?? "")")
        case .choose(let first, let condition, let otherwise): return try value(try value(condition).isTrue ? first : otherwise)
        }
    }

    private static func fail(_ line: Int, _ words: String) -> TokensError { TokensError("chat template, line \(line): \(words)") }

    private func member(_ base: TemplateValue, _ key: TemplateValue, _ line: Int) throws(TokensError) -> TemplateValue {
        switch (base, key) {
        case (.object(let object), .text(let name)): return object[name] ?? .undefined
        case (.list(let list), .integer(let index)):
            let place = index < 0 ? list.count + index : index
            return list.indices.contains(place) ? list[place] : .undefined
        case (.text(let text), .integer(let index)):
            let scalars = Array(text.unicodeScalars)
            let place = index < 0 ? scalars.count + index : index
            return scalars.indices.contains(place) ? .text(String(scalars[place])) : .undefined
        case (.undefined, _): throw Self.fail(line, "a member is asked of what is not defined")
        default: return .undefined
        }
    }

    private func slice(_ base: TemplateValue, _ from: TemplateValue?, _ to: TemplateValue?, _ line: Int) throws(TokensError) -> TemplateValue {
        func bounds(_ count: Int) throws(TokensError) -> Range<Int> {
            func place(_ value: TemplateValue?, _ standard: Int) throws(TokensError) -> Int {
                guard let value else { return standard }
                guard case .integer(let index) = value else { throw Self.fail(line, "a slice whose bound is not a number") }
                return min(max(index < 0 ? count + index : index, 0), count)
            }
            let low = try place(from, 0)
            return low..<max(low, try place(to, count))
        }
        switch base {
        case .list(let list): return .list(Array(list[try bounds(list.count)]))
        case .text(let text):
            let scalars = Array(text.unicodeScalars)
            var view = String.UnicodeScalarView()
            view.append(contentsOf: scalars[try bounds(scalars.count)])
            return .text(String(view))
        default: throw Self.fail(line, "a slice of what is neither a list nor text")
        }
    }

    private func unary(_ symbol: String, _ operand: TemplateValue, _ line: Int) throws(TokensError) -> TemplateValue {
        if symbol == "not" { return .boolean(!operand.isTrue) }
        guard case .integer(let number) = operand else { throw Self.fail(line, "'-' before what is not a number") }
        return .integer(0 &- number)
    }

    private func binary(_ symbol: String, _ left: TemplateExpression, _ right: TemplateExpression, _ line: Int) throws(TokensError) -> TemplateValue {
        let a = try value(left)
        if symbol == "and" { return a.isTrue ? try value(right) : a }
        if symbol == "or" { return a.isTrue ? a : try value(right) }
        let b = try value(right)
        switch (symbol, a, b) {
        case ("==", _, _): return .boolean(a == b)
        case ("!=", _, _): return .boolean(a != b)
        case ("~", _, _):
            guard let first = a.printed, let second = b.printed else { throw Self.fail(line, "'~' joins text, not lists") }
            return .text(first + second)
        case ("+", .text(let first), .text(let second)): return .text(first + second)
        case ("+", .list(let first), .list(let second)): return .list(first + second)
        case ("+", .integer(let first), .integer(let second)): return .integer(first &+ second)
        case ("-", .integer(let first), .integer(let second)): return .integer(first &- second)
        case ("%", .integer(let first), .integer(let second)) where second > 0: return .integer(((first % second) + second) % second)
        case ("<", .integer(let first), .integer(let second)): return .boolean(first < second)
        case (">", .integer(let first), .integer(let second)): return .boolean(first > second)
        case ("<=", .integer(let first), .integer(let second)): return .boolean(first <= second)
        case (">=", .integer(let first), .integer(let second)): return .boolean(first >= second)
        case ("in", .text(let part), .text(let whole)): return .boolean(Self.contains(Array(whole.utf8), Array(part.utf8)))
        case ("in", _, .list(let list)): return .boolean(list.contains(a))
        case ("in", .text(let name), .object(let object)): return .boolean(object[name] != nil)
        default: throw Self.fail(line, "'\(symbol)' cannot be used between these values")
        }
    }

    private static func contains(_ whole: [UInt8], _ part: [UInt8]) -> Bool {
        part.isEmpty || (whole.count >= part.count && (0...whole.count - part.count).contains { whole[$0..<$0 + part.count].elementsEqual(part) })
    }

    private static func test(_ value: TemplateValue, _ test: String) -> Bool {
        switch test {
        case "defined": value != .undefined
        case "undefined": value == .undefined
        case "none": value == .none
        default: if case .text = value { true } else { false }
        }
    }

    private static func filter(_ value: TemplateValue, _ name: String, _ arguments: [TemplateValue], _ line: Int) throws(TokensError) -> TemplateValue {
        switch (name, value) {
        case ("default", .undefined): return arguments.first ?? .text("")
        case ("default", _): return value
        case ("trim", .text(let text)): return .text(strip(text, left: true, right: true))
        case ("upper", .text(let text)): return .text(text.uppercased())
        case ("lower", .text(let text)): return .text(text.lowercased())
        case ("length", .text(let text)), ("count", .text(let text)): return .integer(text.unicodeScalars.count)
        case ("length", .list(let list)), ("count", .list(let list)): return .integer(list.count)
        case ("string", _):
            guard let text = value.printed else { throw fail(line, "the filter 'string' on a list") }
            return .text(text)
        default: throw fail(line, "the filter '\(name)' cannot take this value")
        }
    }

    private static func method(_ value: TemplateValue, _ name: String, _ arguments: [TemplateValue], _ line: Int) throws(TokensError) -> TemplateValue {
        guard case .text(let text) = value else { throw fail(line, "the method '\(name)' is asked of what is not text") }
        switch name {
        case "strip", "lstrip", "rstrip":
            guard arguments.isEmpty else { throw fail(line, "'\(name)' with arguments is not known") }
            return .text(strip(text, left: name != "rstrip", right: name != "lstrip"))
        case "upper": return .text(text.uppercased())
        case "lower": return .text(text.lowercased())
        default:
            guard case .text(let part)? = arguments.first else { throw fail(line, "'\(name)' needs text") }
            let (whole, bytes) = (Array(text.utf8), Array(part.utf8))
            return .boolean(name == "startswith" ? whole.starts(with: bytes) : whole.suffix(bytes.count).elementsEqual(bytes))
        }
    }

    private static func strip(_ text: String, left: Bool, right: Bool) -> String {
        var scalars = text.unicodeScalars[...]
        if left { scalars = scalars.drop { $0.properties.isWhitespace } }
        if right { while let last = scalars.last, last.properties.isWhitespace { scalars.removeLast() } }
        return String(String.UnicodeScalarView(scalars))
    }
}
