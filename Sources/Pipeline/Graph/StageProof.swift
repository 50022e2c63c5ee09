// SPDX-License-Identifier: Apache-2.0

/// Which stages there are and on which devices: the written ones, and the defaults for those left out.
struct StageProof {
    private let manifest: Manifest
    /// The written stages in their order, then the defaults.
    private(set) var nodes: [Graph.Node] = []
    let prefill: Graph.Node
    let decode: Graph.Node
    let mode: Graph.Mode
    private(set) var warnings: [ManifestWarning] = []

    init(_ manifest: Manifest) throws(ManifestError) {
        self.manifest = manifest
        try Self.refuseSeconds(manifest)
        let decode = try Self.decode(manifest)
        let written = try Self.prefill(manifest, decode)
        let isSame = written.replicas == decode.replicas
        let isAggregated = manifest.routing.value == .aggregated
        if isSame, manifest.routing.value == .disaggregated {
            let names = Words.list(decode.devices.map(\.name.value))
            throw ManifestError(
                .graph, manifest.file, manifest.routing.position,
                "routing asks for disaggregated, and prefill and decode are both on \(names); give them different devices or drop routing")
        }
        self.decode = decode
        prefill = isAggregated ? Self.node(written, on: decode) : written
        mode = isSame || isAggregated ? .aggregated : .disaggregated
        for stage in manifest.stages where !stage.kind.runsOnDevice { nodes.append(Self.hostNode(stage)) }
        nodes += [prefill, decode] + defaults()
        warnings = unusedDevices(isAggregated: isAggregated)
    }

    /// A pipeline has one stage of each kind, and any number of foreign ones, of which one may tokenize.
    private static func refuseSeconds(_ manifest: Manifest) throws(ManifestError) {
        var first: [Step: String] = [:]
        for stage in manifest.stages {
            let step = Step(stage.kind, stage.foreign?.hook.value)
            if stage.kind == .foreign, step != .tokenize { continue }
            guard let other = first.updateValue(stage.name.value, forKey: step) else { continue }
            throw ManifestError(
                .graph, manifest.file, stage.name.position,
                "stage \(stage.name.value) is a second \(step); \(other) is the first, and a pipeline has one")
        }
    }

    private static func decode(_ manifest: Manifest) throws(ManifestError) -> Graph.Node {
        let stage = manifest.stages.first { $0.kind == .decode }
        return try deviceNode(.decode, stage, manifest)
    }

    private static func prefill(_ manifest: Manifest, _ decode: Graph.Node) throws(ManifestError) -> Graph.Node {
        let stage = manifest.stages.first { $0.kind == .prefill }
        let isBare = stage?.replicas.allSatisfy { $0.devices.isEmpty && $0.split == nil } ?? true
        if isBare, manifest.routing.value == .aggregated {
            return Graph.Node(
                name: stage?.name.value ?? "prefill", kind: .prefill, replicas: decode.replicas, foreign: nil, isWritten: stage != nil,
                position: stage?.name.position)
        }
        return try deviceNode(.prefill, stage, manifest)
    }

    private static func devices(
        _ kind: Manifest.StageKind, _ stage: Manifest.Stage?, _ replica: Manifest.Stage.Replica?, _ manifest: Manifest
    ) throws(ManifestError) -> [Manifest.Device] {
        if let replica, !replica.devices.isEmpty {
            var found: [Manifest.Device] = []
            for name in replica.devices { found.append(try device(name, manifest)) }
            return found
        }
        if manifest.devices.count == 1 { return manifest.devices }
        let name = stage?.name.value ?? kind.rawValue
        throw ManifestError(
            .missingKey, manifest.file, stage?.name.position ?? manifest.stagesPosition ?? manifest.devices[0].name.position,
            "stage \(name) has no device; write \"\(name): {device: ...}\" with one of: \(Words.list(manifest.devices.map(\.name.value)))")
    }

    private static func device(_ name: Located<String>, _ manifest: Manifest) throws(ManifestError) -> Manifest.Device {
        if let found = manifest.devices.first(where: { $0.name.value == name.value }) { return found }
        let hint = Words.suggestion(for: name.value, of: manifest.devices.map(\.name.value), called: "devices")
        throw ManifestError(
            .unknownName, manifest.file, name.position, "device \(Words.quoted(name.value)) is not declared under devices\(hint)")
    }

    private static func deviceNode(_ kind: Manifest.StageKind, _ stage: Manifest.Stage?, _ manifest: Manifest) throws(ManifestError) -> Graph.Node {
        var replicas: [Graph.Replica] = []
        for written in stage.map({ $0.replicas.map(Optional.some) }) ?? [nil] {
            let devices = try devices(kind, stage, written, manifest)
            if let split = written?.split, case .counts(let counts) = split.value, counts.count != devices.count {
                let has = devices.count == 1 ? "1 device" : "\(devices.count) devices"
                throw ManifestError(
                    .badValue, manifest.file, split.position,
                    "stage \(stage?.name.value ?? kind.rawValue) splits layers in \(counts.count), and it has \(has); give each its number of layers")
            }
            replicas.append(Graph.Replica(devices: devices, split: written?.split?.value ?? .layers))
        }
        return Graph.Node(
            name: stage?.name.value ?? kind.rawValue, kind: kind, replicas: replicas, foreign: nil, isWritten: stage != nil, position: stage?.name.position)
    }

    private static func node(_ node: Graph.Node, on other: Graph.Node) -> Graph.Node {
        Graph.Node(name: node.name, kind: node.kind, replicas: other.replicas, foreign: nil, isWritten: node.isWritten, position: node.position)
    }

    private static func hostNode(_ stage: Manifest.Stage) -> Graph.Node {
        Graph.Node(name: stage.name.value, kind: stage.kind, replicas: [], foreign: stage.foreign, isWritten: true, position: stage.name.position)
    }

    private func defaults() -> [Graph.Node] {
        let missing: [(Manifest.StageKind, Step)] = [(.tokenize, .tokenize), (.sample, .sample), (.detokenize, .detokenize)]
        return missing.filter { pair in !nodes.contains { $0.step == pair.1 } }.map { kind, _ in
            Graph.Node(name: kind.rawValue, kind: kind, replicas: [], foreign: nil, isWritten: false, position: nil)
        }
    }

    private func unusedDevices(isAggregated: Bool) -> [ManifestWarning] {
        let used = Set((prefill.devices + decode.devices).map(\.name.value))
        return manifest.devices.filter { !used.contains($0.name.value) }.map { device in
            let reason = isAggregated ? "routing is aggregated, so both stages run on the decode device" : "no stage names it"
            return ManifestWarning(
                file: manifest.file, position: device.name.position, message: "device \(device.name.value) is not used: \(reason)")
        }
    }
}
