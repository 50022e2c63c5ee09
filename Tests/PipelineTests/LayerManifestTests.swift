// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Pipeline

@Suite("Layers and deadlines in a manifest")
struct LayerManifestTests {
    private func manifest(_ device: String, _ more: String = "") throws -> Manifest {
        try Manifest(text: "baton: 1\nmodel: m\ndevices:\n  a: \(device)\n\(more)", file: "m.yaml")
    }

    private func error(_ device: String) throws -> String {
        try #require(throws: ManifestError.self) { try manifest(device) }.description
    }

    @Test("layers are names or names with parameters, outermost first, or one alone")
    func read() throws {
        let layers = try manifest("{driver: d, layers: [validate, {trace: {file: t.json}}, {fault: {seed: 7, call: submit, at: 3, kind: hang, for: 2s}}]}").devices[0].layers
        #expect(layers.map(\.name.value) == ["validate", "trace", "fault"])
        #expect(layers[2].parameters.map { "\($0.name.value)=\($0.value.value)" } == ["seed=7", "call=submit", "at=3", "kind=hang", "for=2000ms"])
        #expect(try manifest("{driver: d, layers: record}").devices[0].layers.map(\.name.value) == ["record"])
        #expect(try manifest("d").devices[0].layers.isEmpty)
    }

    @Test(
        "what is unknown is refused where it stands, with what is near",
        arguments: [
            ("{driver: d, layers: [vlaidate]}", "m.yaml:4:27: device a has an unknown layer \"vlaidate\"; did you mean \"validate\"?"),
            ("{driver: d, layers: [{fault: {knd: hang}}]}", "m.yaml:4:36: unknown key \"knd\" in layer fault of device a; did you mean \"kind\"?"),
            ("{driver: d, layers: [{fault: {kind: hnag}}]}", "kind is unknown: \"hnag\"; did you mean \"hang\"?"),
            ("{driver: d, layers: [{fault: {call: sumbit}}]}", "call is unknown: \"sumbit\"; did you mean \"submit\"?"),
            ("{driver: d, layers: [{fault: {at: 0}}]}", "at is a whole number from 1"), ("{driver: d, layers: [{fault: {rate: 2}}]}", "rate is a number from 0 to 1"),
            ("{driver: d, watchdog: {cal: 5s}}", "unknown key \"cal\" in watchdog of device a; did you mean \"call\"?"),
            ("{driver: d, watchdog: {call: 5}}", "call is a time such as 250ms, 2s or 1m"),
        ])
    func refused(device: String, words: String) throws {
        let found = try error(device)
        #expect(found.contains(words), "\(found)")
    }

    @Test("a device's own deadlines come before the manifest's, and may be off")
    func watchdog() throws {
        let read = try manifest("{driver: d}\n  b: {driver: d, watchdog: off}\n  c: {driver: d, watchdog: {batch: 3s}}", "watchdog: {call: 5s}")
        let found = read.devices.map { read.watchdog(of: $0)?.deadlines.map { "\($0.name.value)=\($0.value.value)" } }
        #expect(found == [["call=5000ms"], nil, ["batch=3000ms"]])
        let plain = try manifest("{driver: d}", "watchdog: on")
        #expect(plain.watchdog(of: plain.devices[0])?.deadlines.isEmpty == true)
        let none = try manifest("{driver: d}")
        #expect(none.watchdog(of: none.devices[0]) == nil)
    }
}
