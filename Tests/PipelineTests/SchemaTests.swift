// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Pipeline

@Suite("The schema for editors")
struct SchemaTests {
    private let schema: SourceValue

    init() throws { schema = try SourceReader.read(SourceText(contentsOf: "\(root)/Examples/manifest.schema.json")) }

    private func value(_ path: String...) throws -> SourceValue {
        var here = schema
        for step in path {
            guard case .mapping(let pairs) = here.content else { throw Absent() }
            here = try #require(pairs.first { $0.key.value == step }, "no \(step)").value
        }
        return here
    }

    private struct Absent: Error {}

    private func keys(_ value: SourceValue) -> [String] {
        guard case .mapping(let pairs) = value.content else { return [] }
        return pairs.map(\.key.value)
    }

    private func texts(_ value: SourceValue) -> [String] {
        guard case .list(let items) = value.content else { return [] }
        return items.compactMap { item in
            guard case .scalar(let text, _) = item.content else { return nil }
            return text
        }
    }

    @Test("has the keys that the reader knows, no more and no fewer")
    func keysAgree() throws {
        #expect(keys(try value("properties")) == ManifestKeys.manifest)
        for (name, own) in [("handoff", ManifestKeys.handoff), ("sampling", ManifestKeys.sampling)] {
            #expect(keys(try value("$defs", name, "properties")) == own)
        }
        #expect(keys(try value("$defs", "hostStage", "properties")) == ManifestKeys.stage(.sample))
        #expect(keys(try value("$defs", "deviceStage", "properties")) == ManifestKeys.stage(.decode))
        #expect(keys(try value("$defs", "replica", "properties")) == ManifestKeys.replica)
        #expect(keys(try value("$defs", "foreignStage", "properties")) == ManifestKeys.stage(.foreign))
        guard case .list(let forms) = try value("$defs", "device", "anyOf").content, case .mapping(let full)? = forms.last?.content,
            case .list(let routes) = try value("properties", "routing", "anyOf").content, case .mapping(let route)? = routes.last?.content
        else { throw Absent() }
        #expect(try keys(#require(full.first { $0.key.value == "properties" }).value) == ManifestKeys.device)
        #expect(try keys(#require(route.first { $0.key.value == "properties" }).value) == ManifestKeys.routing)
        #expect(keys(try value("$defs", "fault", "properties")) == ManifestKeys.layers["fault"])
        guard case .list(let layers) = try value("$defs", "layer", "anyOf").content, case .mapping(let one)? = layers.last?.content,
            case .list(let watchdogs) = try value("$defs", "watchdog", "anyOf").content, case .mapping(let watchdog)? = watchdogs.last?.content
        else { throw Absent() }
        #expect(try Set(keys(#require(one.first { $0.key.value == "properties" }).value)) == Set(ManifestKeys.layers.keys))
        #expect(try keys(#require(watchdog.first { $0.key.value == "properties" }).value) == ManifestKeys.watchdog)
        guard case .list(let trusts) = try value("properties", "trust", "anyOf").content, case .mapping(let trust)? = trusts.last?.content else { throw Absent() }
        #expect(try keys(#require(trust.first { $0.key.value == "properties" }).value) == ManifestKeys.trust)
        let all = Manifest.StageKind.allCases.flatMap(ManifestKeys.stage)
        #expect(Set(all) == Set(ManifestKeys.anyStage))
    }

    @Test("has the choices that the reader knows")
    func choicesAgree() throws {
        #expect(texts(try value("$defs", "routingMode", "enum")) == Manifest.Routing.allCases.map(\.rawValue))
        let handoff = try value("$defs", "handoff", "properties")
        #expect(!keys(handoff).isEmpty)
        #expect(texts(try value("$defs", "handoff", "properties", "overlap", "enum")) == Manifest.Handoff.Overlap.allCases.map(\.rawValue))
        #expect(texts(try value("$defs", "handoff", "properties", "dtype", "enum")) == Manifest.Handoff.DType.allCases.map(\.rawValue))
        #expect(texts(try value("$defs", "handoff", "properties", "on_failure", "enum")) == Manifest.Handoff.OnFailure.allCases.map(\.rawValue))
        #expect(texts(try value("$defs", "foreignStage", "properties", "at", "enum")) == ForeignHook.allCases.map(\.rawValue))
        #expect(texts(try value("$defs", "trustRequirement", "enum")) == Manifest.Trust.Requirement.allCases.map(\.rawValue))
        #expect(texts(try value("required")) == ["baton", "model", "devices"])
    }
}
