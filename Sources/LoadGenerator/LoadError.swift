/// What is wrong with what was asked, in one line.
public struct LoadError: Error, Sendable, Hashable, CustomStringConvertible {
    public var description: String

    init(_ description: String) { self.description = description }
}
