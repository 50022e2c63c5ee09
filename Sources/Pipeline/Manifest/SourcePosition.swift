// SPDX-License-Identifier: Apache-2.0

/// A place in a manifest's text. Lines and columns count from 1; a column is a Unicode scalar, as editors' go-to commands take it.
public struct SourcePosition: Hashable, Sendable {
    public let line: Int
    public let column: Int

    public init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }
}

extension SourcePosition: CustomStringConvertible {
    public var description: String { "\(line):\(column)" }
}

/// A value and where the manifest states it.
public struct Located<Value: Hashable & Sendable>: Hashable, Sendable {
    public let value: Value
    /// Nil for a default, which the manifest does not write.
    public let position: SourcePosition?

    public init(_ value: Value, at position: SourcePosition? = nil) {
        self.value = value
        self.position = position
    }
}
