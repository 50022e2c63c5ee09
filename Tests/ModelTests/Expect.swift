// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Model

/// Expects `body` to throw a `ModelError` of one line that holds every one of `parts`.
func expect(_ parts: String..., location: SourceLocation = #_sourceLocation, _ body: () throws(ModelError) -> Void) {
    do {
        try body()
        Issue.record("nothing was thrown, where \(parts) was expected", sourceLocation: location)
    } catch {
        let line = error.description
        let lines = line.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        #expect(lines.count == 1, sourceLocation: location)
        for part in parts { #expect(line.contains(part), "\(line)", sourceLocation: location) }
    }
}
