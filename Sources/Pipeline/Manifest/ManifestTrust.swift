// SPDX-License-Identifier: Apache-2.0

extension Manifest {
    /// What the drivers of this pipeline must show before they are loaded. The operator's file may ask for more; the stricter counts.
    public struct Trust: Hashable, Sendable {
        public enum Requirement: String, Hashable, Sendable, CaseIterable {
            case none
            /// A driver manifest that pins the library's sha256.
            case hash
            /// A driver manifest signed by one of the keys.
            case signature
        }
        public let require: Located<Requirement>
        /// Public keys, or the paths of files that hold them, see `Manifest.resolve`.
        public let keys: [Located<String>]
    }
}

extension ManifestReader {
    /// `{require: signature, keys: [acme.pub]}`, or just `hash`; nil where the manifest has no `trust`.
    func trust(_ value: SourceValue) throws(ManifestError) -> Manifest.Trust? {
        guard let value = try KeyedValues(value, "the manifest", file: file, wanted: "a mapping")["trust"] else { return nil }
        if case .scalar = value.content { return Manifest.Trust(require: try scalars.choice(value, "trust"), keys: []) }
        let keys = try KeyedValues(value, "trust", keys: ManifestKeys.trust, file: file)
        let require: Located<Manifest.Trust.Requirement> = try keys["require"].map { value throws(ManifestError) in
            try scalars.choice(value, "require")
        } ?? Located(.none)
        return Manifest.Trust(require: require, keys: try keys["keys"].map(trustKeys) ?? [])
    }

    private func trustKeys(_ value: SourceValue) throws(ManifestError) -> [Located<String>] {
        guard case .list(let items) = value.content, (1...256).contains(items.count) else {
            throw scalars.wrong(value, "keys", "a list of public keys, or of files that hold them, as [acme.pub]")
        }
        var list: [Located<String>] = []
        for item in items { list.append(try scalars.text(item, "keys", "a public key, or the path of a file that holds one")) }
        return list
    }
}
