// SPDX-License-Identifier: Apache-2.0

/// Finds what a mistyped name was probably meant to be.
enum Spelling {
    /// The candidate nearest to `word`, or nil when none is within a third of its length.
    static func nearest(to word: String, in candidates: some Sequence<String>) -> String? {
        let limit = max(1, min(word.utf8.count, 100) / 3)
        var best: (name: String, distance: Int)?
        for candidate in candidates {
            let distance = distance(word, candidate)
            if distance <= limit, distance < best?.distance ?? .max { best = (candidate, distance) }
        }
        return best?.name
    }

    /// Levenshtein's distance over the first 100 UTF-8 bytes of both, so that the cost is bounded.
    static func distance(_ a: String, _ b: String) -> Int {
        let a = Array(a.utf8.prefix(100)), b = Array(b.utf8.prefix(100))
        var row = Array(0...b.count)
        for i in a.indices {
            var diagonal = row[0]
            row[0] = i + 1
            for j in b.indices {
                let substituted = diagonal + (a[i] == b[j] ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(substituted, row[j] + 1, diagonal + 1)
            }
        }
        return row[b.count]
    }
}
