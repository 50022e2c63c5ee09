// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Pipeline

/// The repository's root.
let root = String(#filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/"))

func manifest(_ text: String) throws(ManifestError) -> Manifest { try Manifest(text: text, file: "m.yaml") }

func graph(_ text: String) throws(ManifestError) -> Graph { try Graph(proving: manifest(text)) }

/// Reads and proves `text`.
func graph(ofExample name: String) throws(ManifestError) -> Graph {
    try Graph(proving: Manifest(contentsOf: "\(root)/Examples/\(name)"))
}

/// Expects `text` to be refused with one line that begins with `place` ("3:5", nil for any) and holds every one of `parts`.
func refuses(
    _ text: String, _ code: ManifestError.Code, at place: String?, _ parts: String..., location: SourceLocation = #_sourceLocation
) {
    refuses(Array(text.utf8), code, at: place, parts, location: location)
}

func refuses(
    _ bytes: [UInt8], _ code: ManifestError.Code, at place: String?, _ parts: [String], location: SourceLocation = #_sourceLocation
) {
    do throws(ManifestError) {
        _ = try Graph(proving: Manifest(bytes: bytes, file: "m.yaml"))
        Issue.record("nothing was thrown, where \(parts) was expected", sourceLocation: location)
    } catch {
        let line = error.description
        #expect(error.code == code, "\(line)", sourceLocation: location)
        let begin = place.map { "m.yaml:\($0): " } ?? "m.yaml:"
        #expect(line.hasPrefix(begin), "\(line)", sourceLocation: location)
        #expect(line.split(omittingEmptySubsequences: false) { $0.isNewline }.count == 1, "\(line)", sourceLocation: location)
        for part in parts { #expect(line.contains(part), "\(line)", sourceLocation: location) }
    }
}

/// The smallest manifest and `more`, which begins on line 4.
func small(_ more: String) -> String { "baton: 1\nmodel: m\ndevices: {host: cpu}\n" + more }

/// Four devices a, b, c and d, and stages, which stand on line 4.
func four(_ stages: String) -> String { "baton: 1\nmodel: m\ndevices: {a: cpu, b: cpu, c: cpu, d: cpu}\nstages: {\(stages)}\n" }

/// Two devices, and `more`, which begins on line 6.
func two(_ more: String) -> String { "baton: 1\nmodel: m\ndevices:\n  trn: {driver: trainium3}\n  wse: {driver: cs3}\n" + more }
