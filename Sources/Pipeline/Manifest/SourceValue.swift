// SPDX-License-Identifier: Apache-2.0

/// A value of the manifest before anything is known about what it means.
struct SourceValue {
    indirect enum Content {
        /// `isPlain` is false for quoted text, which is text whatever it looks like.
        case scalar(String, isPlain: Bool)
        case list([SourceValue])
        /// Keys are all different.
        case mapping([SourcePair])
    }
    let content: Content
    let position: SourcePosition

    /// Nothing is written: `key:` or `key: null`.
    var isNothing: Bool {
        guard case .scalar(let text, isPlain: true) = content else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(text)
    }

    /// For messages: what stands here.
    var kind: String {
        switch content {
        case .list: "a list"
        case .mapping: "a mapping"
        case .scalar where isNothing: "nothing"
        case .scalar(let text, _): Words.quoted(text)
        }
    }
}

/// A key of a mapping and what stands after it.
struct SourcePair {
    let key: Located<String>
    let value: SourceValue
}
