/// One numbered rule of the contract: a sentence in the header it belongs to, and one check run against a driver's binary.
public struct Rule: Sendable {
    /// 1 for D1. A number is never used again for another rule.
    public var number: Int
    /// The header of `include/baton` that states the rule, such as "event.h".
    public var header: String
    /// The rule itself, as the header has it.
    public var sentence: String
    /// Runs the rule's check in this process. A note says what the check measured or what the driver does not offer.
    let check: @Sendable (Subject) throws -> Note

    init(_ number: Int, _ header: String, _ sentence: String, _ check: @escaping @Sendable (Subject) throws -> Note) {
        self.number = number
        self.header = header
        self.sentence = sentence
        self.check = check
    }

    /// "D7".
    public var id: String { name ?? "D\(number)" }
    /// Of a rule that is not the contract's own.
    private var name: String?

    /// A rule that is not of one driver alone; whoever makes it checks it in the child process.
    public init(id: String, header: String, sentence: String) {
        self.init(0, header, sentence) { _ in throw Broken("\(id) is not a rule of one driver") }
        name = id
    }

    /// The rule called `id`, in either case.
    public static func named(_ id: String) -> Rule? { all.first { $0.id == id.uppercased() } }
}

/// What a check that passed has to say beside that; often nothing.
struct Note: Sendable, ExpressibleByStringInterpolation {
    var words: String
    init(_ words: String = "") { self.words = words }
    init(stringLiteral words: String) { self.words = words }
}

/// The driver broke the rule: what was asked, what was found.
struct Broken: Error, CustomStringConvertible {
    var description: String
    init(_ words: String) { description = words }
}

/// The contract lets a driver lack this ability, and it says that it does.
struct NotOffered: Error {
    var words: String
    init(_ words: String) { self.words = words }
}

/// Throws `words` as the reason that the rule is broken.
func require(_ condition: Bool, _ words: @autoclosure () -> String) throws {
    if !condition { throw Broken(words()) }
}
