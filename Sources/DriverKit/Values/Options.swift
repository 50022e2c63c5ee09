import CDriver

/// One option that a driver accepts.
public struct OptionDescription: Sendable, Hashable {
    public enum Kind: Int32, Sendable, Hashable { case integer = 1, number = 2, boolean = 3, choice = 4, text = 5 }

    public var name: String
    public var kind: Kind
    /// As the manifest would write it; must itself be acceptable.
    public var defaultValue: String
    public var choices: [String]
    public var unit: String
    /// One sentence, with the source of the default where it is a hardware figure.
    public var help: String
    /// Inclusive bounds of integers and numbers.
    public var minimum: Double
    public var maximum: Double

    public init(
        _ name: String, _ kind: Kind, default defaultValue: String, choices: [String] = [], unit: String = "", help: String,
        min minimum: Double = -1e18, max maximum: Double = 1e18
    ) {
        self.name = name
        self.kind = kind
        self.defaultValue = defaultValue
        self.choices = choices
        self.unit = unit
        self.help = help
        self.minimum = minimum
        self.maximum = maximum
    }

    /// Strings in it live as long as the process.
    var contract: baton_option_info {
        baton_option_info(
            size: UInt32(MemoryLayout<baton_option_info>.size), kind: kind.rawValue, name: Interned.text(name),
            default_value: Interned.text(defaultValue), choices: Interned.text(choices.joined(separator: "|")),
            unit: Interned.text(unit), help: Interned.text(help), minimum: minimum, maximum: maximum)
    }
}

/// The options of one device, checked against their descriptions: every described option has a value of its kind.
public struct Options: Sendable, Hashable {
    private enum Value: Sendable, Hashable {
        case integer(Int)
        case number(Double)
        case boolean(Bool)
        case text(String)
    }

    private var values: [String: Value] = [:]
    /// What was given, in the order it was given; for a driver that opens a peer with some of it.
    public var given: [(key: String, value: String)] { Array(zip(givenKeys, givenValues)).map { (key: $0.0, value: $0.1) } }
    private var givenKeys: [String] = []
    private var givenValues: [String] = []

    /// INVALID_ARGUMENT names the key, what was wrong with it and what is accepted.
    public init(_ given: [(key: String, value: String)], _ descriptions: [OptionDescription]) throws(DriverFailure) {
        for description in descriptions { values[description.name] = try Self.parse(description.defaultValue, description) }
        for (index, option) in given.enumerated() {
            guard let description = descriptions.first(where: { $0.name == option.key }) else {
                throw Self.unknown(option.key, descriptions.map(\.name))
            }
            guard !given[..<index].contains(where: { $0.key == option.key }) else {
                throw .invalid("option '\(option.key)' is given twice; keep one")
            }
            values[option.key] = try Self.parse(option.value, description)
        }
        givenKeys = given.map(\.key)
        givenValues = given.map(\.value)
    }

    static let limit: UInt32 = 1024

    init(_ raw: UnsafePointer<baton_options>?, _ descriptions: [OptionDescription]) throws(DriverFailure) {
        var given: [(key: String, value: String)] = []
        if let raw {
            let options = try baton_options.read(raw, "the options")
            guard options.count <= Self.limit else { throw .invalid("\(options.count) options are stated; at most \(Self.limit) can be given") }
            guard options.count == 0 || options.items != nil else { throw .invalid("the options are null and \(options.count) are stated; pass the array") }
            for option in UnsafeBufferPointer(start: options.items, count: Int(options.count)) {
                given.append((String(option.key), String(option.value)))
            }
        }
        try self.init(given, descriptions)
    }

    /// The value of an integer option; 0 for a name that is not described as one.
    public func integer(_ name: String) -> Int {
        if case .integer(let value)? = values[name] { return value }
        return 0
    }

    /// The value of a number or integer option; 0 for a name that is not described as one.
    public func number(_ name: String) -> Double {
        switch values[name] {
        case .number(let value)?: value
        case .integer(let value)?: Double(value)
        default: 0
        }
    }

    public func boolean(_ name: String) -> Bool {
        if case .boolean(let value)? = values[name] { return value }
        return false
    }

    /// The value of a choice or text option; empty for a name that is not described as one.
    public func text(_ name: String) -> String {
        if case .text(let value)? = values[name] { return value }
        return ""
    }

    private static func unknown(_ key: String, _ names: [String]) -> DriverFailure {
        let near = Spelling.nearest(to: key, in: names)
        let hint = near.map { "did you mean '\($0)'?" } ?? (names.isEmpty ? "this driver takes none" : "it takes \(names.joined(separator: ", "))")
        return .invalid("unknown option '\(key)'; \(hint)")
    }

    private static func parse(_ text: String, _ option: OptionDescription) throws(DriverFailure) -> Value {
        func wrong(_ wanted: String) -> DriverFailure { .invalid("option '\(option.name)' is '\(text)'; give \(wanted)") }
        func bounds(_ value: Double) throws(DriverFailure) {
            guard value >= option.minimum, value <= option.maximum else {
                let unit = option.unit.isEmpty ? "" : " \(option.unit)"
                throw wrong("a value from \(plain(option.minimum)) to \(plain(option.maximum))\(unit)")
            }
        }
        switch option.kind {
        case .integer:
            guard let value = Int(text) else { throw wrong("a whole number") }
            try bounds(Double(value))
            return .integer(value)
        case .number:
            guard let value = Double(text), value.isFinite else { throw wrong("a number") }
            try bounds(value)
            return .number(value)
        case .boolean:
            switch text {
            case "true", "on", "yes", "1": return .boolean(true)
            case "false", "off", "no", "0": return .boolean(false)
            default: throw wrong("true or false")
            }
        case .choice:
            guard option.choices.contains(text) else { throw wrong("one of \(option.choices.joined(separator: ", "))") }
            return .text(text)
        case .text: return .text(text)
        }
    }

    private static func plain(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? String(Int(value)) : "\(value)"
    }
}

/// The nearest of some names, for a message about a name that is none of them.
enum Spelling {
    static func nearest(to word: String, in names: [String]) -> String? {
        let word = Array(word.lowercased().utf8.prefix(64))
        let ranked = names.map { ($0, distance(word, Array($0.lowercased().utf8.prefix(64)))) }.min { $0.1 < $1.1 }
        guard let ranked, ranked.1 <= max(2, word.count / 3) else { return nil }
        return ranked.0
    }

    /// Insertions, deletions and substitutions between two words.
    static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var row = Array(0...b.count)
        for (i, x) in a.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, y) in b.enumerated() {
                let substituted = diagonal + (x == y ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(substituted, row[j] + 1, row[j + 1] + 1)
            }
        }
        return row[b.count]
    }
}
