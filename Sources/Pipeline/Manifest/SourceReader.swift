// SPDX-License-Identifier: Apache-2.0

import Yams

/// Turns the text of a manifest into values with places. Of YAML it takes what JSON has too, and comments: no aliases, no tags, one document.
struct SourceReader {
    /// The most levels of mappings and lists.
    static let maximumDepth = 16
    /// The most values of one manifest.
    static let maximumValues = 16384

    private static let beginning = SourcePosition(line: 1, column: 1)

    private let source: SourceText
    private var count = 0

    private init(_ source: SourceText) { self.source = source }

    static func read(_ source: SourceText) throws(ManifestError) -> SourceValue {
        var reader = SourceReader(source)
        // Aliases are known by their anchors, which nodes hold weakly: the parser keeps them until the tree is read.
        let (root, parser) = try reader.parse()
        defer { withExtendedLifetime(parser) {} }
        guard let root else { throw reader.empty() }
        let value = try reader.value(root, depth: 0)
        if value.isNothing { throw reader.empty() }
        return value
    }

    private func parse() throws(ManifestError) -> (Node?, Parser) {
        do {
            // Yams keeps the address of the string's bytes, which short strings do not have: the line ends make it a long one.
            let text = source.text + "\n" + String(repeating: "\n", count: 32)
            let parser = try Parser(yaml: text, resolver: .basic, encoding: .utf8)
            return (try parser.singleRoot(), parser)
        } catch let error as YamlError {
            throw failure(error)
        } catch {
            throw refused(Self.beginning, "the text cannot be read as YAML or JSON")
        }
    }

    private func empty() -> ManifestError {
        ManifestError(
            .malformed, source.file, Self.beginning,
            "the manifest is empty; write at least baton, model and devices")
    }

    private mutating func value(_ node: Node, depth: Int) throws(ManifestError) -> SourceValue {
        let place = position(node)
        count += 1
        guard count <= Self.maximumValues else { throw refused(place, "more than \(Self.maximumValues) values; a manifest is shorter") }
        guard depth <= Self.maximumDepth else { throw tooDeep(place) }
        if let anchor = node.anchor {
            let name = Words.quoted("&" + anchor.rawValue)
            throw refused(place, "the YAML anchor \(name); a manifest has no aliases: write the value where it is used")
        }
        switch node {
        case .scalar(let scalar):
            try refuseTag(scalar.tag, place)
            return SourceValue(content: .scalar(scalar.string, isPlain: scalar.style == .plain), position: place)
        case .sequence(let sequence):
            try refuseTag(sequence.tag, place)
            var list: [SourceValue] = []
            for item in sequence { list.append(try value(item, depth: depth + 1)) }
            return SourceValue(content: .list(list), position: place)
        case .mapping(let mapping):
            try refuseTag(mapping.tag, place)
            return SourceValue(content: .mapping(try pairs(mapping, depth: depth)), position: place)
        case .alias:
            throw refused(place, "a YAML alias; write the value where it is used")
        }
    }

    private mutating func pairs(_ mapping: Node.Mapping, depth: Int) throws(ManifestError) -> [SourcePair] {
        var pairs: [SourcePair] = []
        var seen: Set<String> = []
        for (keyNode, valueNode) in mapping {
            let key = try value(keyNode, depth: depth + 1)
            guard case .scalar(let name, let isPlain) = key.content else {
                throw refused(key.position, "a key is a name, and \(key.kind) stands here")
            }
            guard !key.isNothing, !name.isEmpty else { throw refused(key.position, "a key is a name, and nothing stands before the ':'") }
            if isPlain, Self.isOtherThanText(name) {
                throw refused(key.position, "a key is text, and \(name) is a number or flag; write it in quotes, as \(Words.quoted(name))")
            }
            guard seen.insert(name).inserted else { throw duplicate(name, key.position) }
            pairs.append(SourcePair(key: Located(name, at: key.position), value: try value(valueNode, depth: depth + 1)))
        }
        return pairs
    }

    /// What YAML reads as a number or a flag where it is not quoted.
    private static func isOtherThanText(_ name: String) -> Bool {
        if ["true", "True", "TRUE", "false", "False", "FALSE"].contains(name) { return true }
        guard let first = name.utf8.first, Array("0123456789+-.".utf8).contains(first) else { return false }
        return Double(name) != nil
    }

    private func position(_ node: Node) -> SourcePosition {
        SourcePosition(line: node.mark?.line ?? 1, column: node.mark?.column ?? 1)
    }

    private func refuseTag(_ tag: Tag, _ place: SourcePosition) throws(ManifestError) {
        let name = tag.description
        if name.isEmpty || name == "!" || name.hasPrefix("tag:yaml.org,2002:") { return }
        throw refused(place, "the YAML tag \(Words.quoted(name)); write a plain value")
    }

    private func refused(_ place: SourcePosition, _ message: String) -> ManifestError {
        ManifestError(.malformed, source.file, place, message)
    }

    private func tooDeep(_ place: SourcePosition) -> ManifestError {
        refused(place, "more than \(Self.maximumDepth) levels of mappings and lists; a manifest is flatter")
    }

    private func duplicate(_ name: String, _ place: SourcePosition) -> ManifestError {
        ManifestError(.duplicateKey, source.file, place, "the key \(Words.quoted(name)) is written twice here; keep one")
    }
}

extension SourceReader {
    /// A failure of Yams in one line. Its own text also shows the source.
    private func failure(_ error: YamlError) -> ManifestError {
        switch error {
        case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            let place = inText(SourcePosition(line: mark.line, column: mark.column))
            if problem.hasPrefix("Maximum nesting level") { return tooDeep(place) }
            let words = context.map { " \($0.text)" } ?? ""
            return refused(place, "not YAML or JSON: \(problem)\(words)")
        case .duplicatedKeysInMapping(let names, let context):
            let first = SourcePosition(line: context.mark.line, column: context.mark.column)
            let name = names.first ?? ""
            return duplicate(name, second(name, after: first) ?? first)
        case .reader(let problem, let offset, _, let text):
            return refused(inText(place(of: offset ?? 0, in: text)), "not YAML or JSON: \(problem)")
        default:
            return refused(Self.beginning, "the text cannot be read as YAML or JSON")
        }
    }

    /// `place`, or the end of the manifest's text for one after it, in the line ends that `parse` adds.
    private func inText(_ place: SourcePosition) -> SourcePosition {
        let lines = source.text.split(omittingEmptySubsequences: false) { $0.isNewline }
        guard place.line > lines.count else { return place }
        return SourcePosition(line: lines.count, column: (lines.last?.unicodeScalars.count ?? 0) + 1)
    }

    private func place(of offset: Int, in text: String) -> SourcePosition {
        var (line, column) = (1, 1)
        for character in text.prefix(offset) {
            (line, column) = character.isNewline ? (line + 1, 1) : (line, column + character.unicodeScalars.count)
        }
        return SourcePosition(line: line, column: column)
    }

    /// Yams says where a repeated key stands first. With that one renamed, a second reading says where it stands again.
    private func second(_ name: String, after first: SourcePosition) -> SourcePosition? {
        guard let text = renamed(at: first) else { return nil }
        do {
            let parser = try Parser(yaml: text, resolver: .basic, encoding: .utf8)
            let root = try parser.singleRoot()
            return root.flatMap { search($0, mapping: first, for: name, depth: 0) }
        } catch YamlError.duplicatedKeysInMapping(let names, let context) where names.first == name {
            return SourcePosition(line: context.mark.line, column: context.mark.column)
        } catch {
            return nil
        }
    }

    /// The text with the first letter of the key at `place` made one that no key begins with.
    private func renamed(at place: SourcePosition) -> String? {
        var scalars = Array((source.text + String(repeating: "\n", count: 33)).unicodeScalars)
        var line = 1
        var index = 0
        while line < place.line, index < scalars.count {
            if scalars[index] == "\n" { line += 1 }
            index += 1
        }
        index += place.column - 1
        if index < scalars.count, scalars[index] == "\"" || scalars[index] == "'" { index += 1 }
        guard index < scalars.count else { return nil }
        scalars[index] = "\u{E000}"
        return String(String.UnicodeScalarView(scalars))
    }

    /// The key called `name` in the mapping that has a key at `place`.
    private func search(_ node: Node, mapping place: SourcePosition, for name: String, depth: Int) -> SourcePosition? {
        guard depth <= Self.maximumDepth else { return nil }
        switch node {
        case .mapping(let mapping):
            if mapping.contains(where: { position($0.key) == place }) {
                return mapping.first { $0.key.scalar?.string == name }.map { position($0.key) }
            }
            return mapping.lazy.compactMap { search($0.value, mapping: place, for: name, depth: depth + 1) }.first
        case .sequence(let sequence):
            return sequence.lazy.compactMap { search($0, mapping: place, for: name, depth: depth + 1) }.first
        default: return nil
        }
    }
}
