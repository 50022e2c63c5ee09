// SPDX-License-Identifier: Apache-2.0

/// A mapping whose keys are all known ones.
struct KeyedValues {
    let file: String
    let position: SourcePosition
    /// For messages: "the manifest", "handoff", "device trn".
    let what: String
    private let pairs: [SourcePair]

    /// Any keys.
    init(_ value: SourceValue, _ what: String, file: String, wanted: String) throws(ManifestError) {
        guard case .mapping(let pairs) = value.content else { throw SourceScalars(file: file).wrong(value, what, wanted) }
        self.file = file
        self.position = value.position
        self.what = what
        self.pairs = pairs
    }

    /// Errors: a key that is not one of `keys`, with the nearest that is.
    init(_ value: SourceValue, _ what: String, keys: [String], file: String) throws(ManifestError) {
        try self.init(value, what, file: file, wanted: "a mapping with \(Words.list(keys))")
        try refuseOthers(than: keys)
    }

    func refuseOthers(than keys: [String]) throws(ManifestError) {
        for key in pairs.map(\.key) where !keys.contains(key.value) {
            let hint = Words.suggestion(for: key.value, of: keys, called: "its keys")
            throw ManifestError(.unknownKey, file, key.position, "unknown key \(Words.quoted(key.value)) in \(what)\(hint)")
        }
    }

    var all: [SourcePair] { pairs }

    subscript(_ key: String) -> SourceValue? { pairs.first { $0.key.value == key }?.value }

    func key(_ key: String) -> Located<String>? { pairs.first { $0.key.value == key }?.key }

    func required(_ key: String, _ hint: String) throws(ManifestError) -> SourceValue {
        if let value = self[key] { return value }
        throw ManifestError(.missingKey, file, position, "\(what) has no \(Words.quoted(key)); write \(hint)")
    }
}
