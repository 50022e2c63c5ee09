/// What one rule's check found.
public struct Verdict: Sendable, Encodable {
    public enum Outcome: String, Sendable, Encodable {
        case pass, fail
        /// Declared as never offered; not run.
        case unsupported
        /// Declared to fail, and it does.
        case xfail
        /// Declared to fail, and it passes: take the exception out.
        case xpass
    }

    public var rule: String
    public var header: String
    public var sentence: String
    public var outcome: Outcome
    /// Why it failed, or what a check that passed has to say.
    public var words: String
    public var milliseconds: Int

    init(_ rule: Rule, _ outcome: Outcome, _ words: String, milliseconds: Int = 0) {
        self.rule = rule.id
        header = rule.header
        sentence = rule.sentence
        self.outcome = outcome
        self.words = words
        self.milliseconds = milliseconds
    }

    /// Whether the suite fails for it.
    public var isBad: Bool { outcome == .fail || outcome == .xpass }
}

extension [Verdict] {
    public var isConformant: Bool { !contains(where: \.isBad) }

    /// "64 pass, 3 unsupported".
    public var summary: String {
        let order: [Verdict.Outcome] = [.pass, .fail, .xpass, .xfail, .unsupported]
        return order.compactMap { outcome in
            let count = filter { $0.outcome == outcome }.count
            return count > 0 ? "\(count) \(outcome.rawValue)" : nil
        }.joined(separator: ", ")
    }

    /// The verdicts as JUnit XML, one test case for each rule.
    public func junit(suite: String) -> String {
        func escape(_ text: String) -> String {
            text.unicodeScalars.reduce(into: "") { out, scalar in
                switch scalar {
                case "&": out += "&amp;"
                case "<": out += "&lt;"
                case ">": out += "&gt;"
                case "\"": out += "&quot;"
                default: if scalar.value >= 32 { out.unicodeScalars.append(scalar) } else { out += " " }
                }
            }
        }
        let skipped = filter { $0.outcome == .unsupported || $0.outcome == .xfail }.count
        var text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        text += "<testsuite name=\"\(escape(suite))\" tests=\"\(count)\" failures=\"\(filter(\.isBad).count)\" skipped=\"\(skipped)\">\n"
        for verdict in self {
            let seconds = "\(verdict.milliseconds / 1_000).\(String(1_000 + verdict.milliseconds % 1_000).dropFirst())"
            text += "  <testcase classname=\"\(verdict.header)\" name=\"\(escape("\(verdict.rule): \(verdict.sentence)"))\" time=\"\(seconds)\">"
            switch verdict.outcome {
            case .pass: break
            case .fail: text += "<failure message=\"\(escape(verdict.words))\"/>"
            case .xpass: text += "<failure message=\"passes, and is declared to fail: \(escape(verdict.words))\"/>"
            case .unsupported, .xfail: text += "<skipped message=\"\(escape("\(verdict.outcome.rawValue): \(verdict.words)"))\"/>"
            }
            text += "</testcase>\n"
        }
        return text + "</testsuite>\n"
    }
}
