// SPDX-License-Identifier: Apache-2.0

/// Why a manifest cannot be used: what it says, where, and what to write instead. One line.
public struct ManifestError: Error, Hashable, Sendable {
    /// What kind of failure it is. Open: later versions may add kinds.
    public struct Code: RawRepresentable, Hashable, Sendable {
        public let rawValue: String
        public init(rawValue: String) { self.rawValue = rawValue }

        /// The file cannot be read, is too large, or is not UTF-8.
        public static let unreadable = Code(rawValue: "unreadable")
        /// Not YAML or JSON, or YAML beyond what a manifest may use (aliases, tags, several documents).
        public static let malformed = Code(rawValue: "malformed")
        public static let unknownKey = Code(rawValue: "unknown_key")
        public static let duplicateKey = Code(rawValue: "duplicate_key")
        public static let missingKey = Code(rawValue: "missing_key")
        public static let wrongType = Code(rawValue: "wrong_type")
        /// Of the right type and outside what is allowed.
        public static let badValue = Code(rawValue: "bad_value")
        /// `baton:` states a version that this Baton does not read.
        public static let version = Code(rawValue: "version")
        /// A name that the manifest does not declare.
        public static let unknownName = Code(rawValue: "unknown_name")
        /// Stages that cannot be put together: cycles, types, kinds.
        public static let graph = Code(rawValue: "graph")
    }

    public let code: Code
    /// As the caller named the manifest.
    public let file: String
    /// Nil when the failure has no place in the text.
    public let position: SourcePosition?
    /// Without the place.
    public let message: String

    init(_ code: Code, _ file: String, _ position: SourcePosition?, _ message: String) {
        self.code = code
        self.file = file
        self.position = position
        self.message = message
    }
}

extension ManifestError: CustomStringConvertible {
    /// `file:line:column: message`, one line.
    public var description: String { Words.placed(file, position, message) }
}

/// Something in a sound manifest that its writer probably did not mean.
public struct ManifestWarning: Hashable, Sendable {
    public let file: String
    public let position: SourcePosition?
    public let message: String
}

extension ManifestWarning: CustomStringConvertible {
    /// `file:line:column: warning: message`, one line.
    public var description: String { Words.placed(file, position, "warning: \(message)") }
}
