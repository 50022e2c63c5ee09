// SPDX-License-Identifier: Apache-2.0

/// Why a model could not be found, read or used. `description` is always one line of printable text:
/// what was asked, what was found, what to do.
public struct ModelError: Error, Sendable, Hashable, CustomStringConvertible {
    /// An open set: a caller switches over the codes it knows and shows the description of the rest.
    public struct Code: RawRepresentable, Sendable, Hashable {
        public var rawValue: String
        public init(rawValue: String) { self.rawValue = rawValue }

        /// No model or file of that name.
        public static let missing = Code(rawValue: "missing")
        /// The operating system refused a file operation.
        public static let io = Code(rawValue: "io")
        /// The bytes are not a GGUF file at all.
        public static let wrongFormat = Code(rawValue: "wrong-format")
        /// The file ends before what its own counts promise.
        public static let truncated = Code(rawValue: "truncated")
        /// The file contradicts the format or itself.
        public static let corrupt = Code(rawValue: "corrupt")
        /// A metadata key or a tensor that the architecture needs is absent, or has another type or shape.
        public static let invalid = Code(rawValue: "invalid")
        /// Sound, but beyond what Baton computes.
        public static let unsupported = Code(rawValue: "unsupported")
        /// A download failed.
        public static let download = Code(rawValue: "download")
        /// The bytes are not those that were asked for.
        public static let checksum = Code(rawValue: "checksum")
    }

    public var code: Code
    /// The file, model or folder at fault.
    public var subject: String
    /// What was asked and what was found.
    public var problem: String
    /// What to do about it; empty when there is nothing better than the problem itself.
    public var remedy: String

    public init(_ code: Code, _ subject: String, _ problem: String, remedy: String = "") {
        self.code = code
        self.subject = subject
        self.problem = problem
        self.remedy = remedy
    }

    public var description: String {
        let tail = remedy.isEmpty ? "" : "; " + remedy
        return printable("\(subject): \(problem)\(tail)", limit: 1_000)
    }
}

/// `text` on one line: control characters are escaped and what lies past `limit` scalars is replaced by an ellipsis, so that a
/// hostile name can neither forge lines of a log nor fill it.
func printable(_ text: String, limit: Int = 120) -> String {
    var line = ""
    for (index, scalar) in text.unicodeScalars.enumerated() {
        if index == limit { return line + "..." }
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .unassigned:
            line += "\\u{" + String(scalar.value, radix: 16) + "}"
        default: line.unicodeScalars.append(scalar)
        }
    }
    return line
}
