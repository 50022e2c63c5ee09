// SPDX-License-Identifier: Apache-2.0

/// Why a vocabulary, a text or a template could not be used. `description` is always one line:
/// what was asked, what was found, what to do.
public struct TokensError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The line itself.
    public var words: String

    public init(_ words: String) { self.words = words }

    public var description: String { words }
}
