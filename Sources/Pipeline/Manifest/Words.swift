// SPDX-License-Identifier: Apache-2.0

/// The wording that errors share. Text of a manifest goes into a message only through here, so that a message stays one short line.
enum Words {
    /// `text` in double quotes: one line, nothing invisible, at most 60 characters of it.
    static func quoted(_ text: String) -> String { "\"\(printable(text, limit: 60))\"" }

    static func placed(_ file: String, _ position: SourcePosition?, _ message: String) -> String {
        let name = printable(file, limit: 4096)
        guard let position else { return "\(name): \(message)" }
        return "\(name):\(position): \(message)"
    }

    /// "a, b, c".
    static func list(_ names: [String]) -> String {
        let shown = names.prefix(16).map { printable($0, limit: 60) }.joined(separator: ", ")
        return names.count > 16 ? "\(shown), and \(names.count - 16) more" : shown
    }

    /// "; did you mean "x"?" when some name is near, with all of the names.
    static func suggestion(for text: String, of names: [String], called what: String) -> String {
        let all = "\(what): \(list(names))"
        guard let near = nearest(to: text, of: names) else { return "; \(all)" }
        return "; did you mean \(quoted(near))? (\(all))"
    }

    /// The name at the least edit distance from `text`, unless it is so far that nobody could have meant it.
    static func nearest(to text: String, of names: [String]) -> String? {
        let typed = Array(text.lowercased().unicodeScalars.prefix(64))
        let measured = names.map { (name: $0, distance: distance(typed, Array($0.lowercased().unicodeScalars.prefix(64)))) }
        guard let best = measured.min(by: { $0.distance < $1.distance }) else { return nil }
        return best.distance <= max(2, best.name.count / 2) && best.distance < typed.count ? best.name : nil
    }

    /// Edits from `a` to `b`: a scalar put in, taken out, changed, or exchanged with its neighbour.
    static func distance(_ a: [Unicode.Scalar], _ b: [Unicode.Scalar]) -> Int {
        var before: [Int] = []
        var last = Array(0...b.count)
        for i in a.indices {
            var row = [i + 1]
            for j in b.indices {
                var least = min(row[j] + 1, last[j + 1] + 1, last[j] + (a[i] == b[j] ? 0 : 1))
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { least = min(least, before[j - 1] + 1) }
                row.append(least)
            }
            before = last
            last = row
        }
        return last[b.count]
    }

    private static func printable(_ text: String, limit: Int) -> String {
        var shown = ""
        for (index, scalar) in text.unicodeScalars.enumerated() {
            guard index < limit else { return shown + "..." }
            switch scalar {
            case "\n": shown += "\\n"
            case "\t": shown += "\\t"
            case "\r": shown += "\\r"
            default: shown.unicodeScalars.append(isVisible(scalar) ? scalar : "\u{FFFD}")
            }
        }
        return shown
    }

    private static func isVisible(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .unassigned, .privateUse: false
        default: true
        }
    }
}
