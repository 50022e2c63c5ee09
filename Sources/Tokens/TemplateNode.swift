/// A statement of a template.
indirect enum TemplateNode: Sendable {
    case text(String)
    case output(TemplateExpression)
    case set(String, TemplateExpression)
    case branch([(condition: TemplateExpression?, body: [TemplateNode])])
    case loop(variable: String, over: TemplateExpression, body: [TemplateNode])
}

/// An expression, and the line it stands on for what it may throw.
indirect enum TemplateExpression: Sendable {
    case constant(TemplateValue)
    case name(String)
    case attribute(TemplateExpression, String, line: Int)
    case index(TemplateExpression, TemplateExpression, line: Int)
    case slice(TemplateExpression, from: TemplateExpression?, to: TemplateExpression?, line: Int)
    case unary(String, TemplateExpression, line: Int)
    case binary(String, TemplateExpression, TemplateExpression, line: Int)
    case test(TemplateExpression, String, negated: Bool)
    case filter(TemplateExpression, String, [TemplateExpression], line: Int)
    case method(TemplateExpression, String, [TemplateExpression], line: Int)
    case raise(TemplateExpression)
    case choose(TemplateExpression, condition: TemplateExpression, otherwise: TemplateExpression)
}

/// A value of a template.
enum TemplateValue: Sendable, Hashable {
    case undefined, none
    case boolean(Bool)
    case integer(Int)
    case text(String)
    case list([TemplateValue])
    case object([String: TemplateValue])

    var isTrue: Bool {
        switch self {
        case .undefined, .none: false
        case .boolean(let value): value
        case .integer(let value): value != 0
        case .text(let value): !value.isEmpty
        case .list(let values): !values.isEmpty
        case .object(let values): !values.isEmpty
        }
    }

    /// As Jinja prints it; nil for what a template has no reason to print.
    var printed: String? {
        switch self {
        case .undefined: ""
        case .none: "None"
        case .boolean(let value): value ? "True" : "False"
        case .integer(let value): String(value)
        case .text(let value): value
        case .list, .object: nil
        }
    }
}
