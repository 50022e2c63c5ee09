/// Why a foreign function could not be found, described or called. One line: what was asked, what was found, what to do.
public struct ForeignError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What went wrong, for programs.
    public enum Kind: String, Hashable, Sendable {
        /// The signature's text cannot be read; `column` says where.
        case signature
        /// The library cannot be opened.
        case library
        /// The library has no such function.
        case function
        /// The call has too few or too many arguments.
        case argumentCount
        /// An argument, or a callback's result, is not of the declared type.
        case argumentType
        /// A text is not a value of the type, or a value cannot be passed.
        case value
        /// The call interface or the closure cannot be made on this machine.
        case interface
        /// A callback threw an error of its own.
        case callback
    }

    public let kind: Kind
    /// The library as it was asked for, where one was.
    public let library: String?
    /// The function's name, where it is known.
    public let function: String?
    /// Where in the signature's text, in characters counted from 1.
    public let column: Int?
    public let description: String

    init(_ kind: Kind, library: String? = nil, function: String? = nil, column: Int? = nil, _ description: String) {
        self.kind = kind
        self.library = library
        self.function = function
        self.column = column
        self.description = description
    }
}
