// SPDX-License-Identifier: Apache-2.0

extension ManifestReader {
    /// The most stages, or devices of one stage.
    private static let maximumCount = 256
    /// The most replicas of one stage: each of prefill's is paired with each of decode's, and every pair is weighed for every request.
    private static let maximumReplicas = 16
    private static let wantedStage = "a device's name, or a mapping with device"

    func stages(_ value: SourceValue) throws(ManifestError) -> [Manifest.Stage] {
        let keys = try KeyedValues(value, "stages", file: file, wanted: "a mapping of names to stages, as {decode: {device: host}}")
        guard keys.all.count <= Self.maximumCount else {
            throw ManifestError(.badValue, file, value.position, "\(keys.all.count) stages; at most \(Self.maximumCount)")
        }
        var list: [Manifest.Stage] = []
        for pair in keys.all { list.append(try stage(scalars.name(pair.key, of: "stage"), pair.value)) }
        return list
    }

    private func stage(_ name: Located<String>, _ value: SourceValue) throws(ManifestError) -> Manifest.Stage {
        let implied = Manifest.StageKind(rawValue: name.value).flatMap { $0 == .foreign ? nil : $0 }
        if case .scalar = value.content, let kind = implied, kind.runsOnDevice {
            return Manifest.Stage(
                name: name, kind: kind, replicas: [.init(devices: [try scalars.text(value, "stage \(name.value)", Self.wantedStage)], split: nil)],
                foreign: nil, after: [])
        }
        let keys = try KeyedValues(value, "stage \(name.value)", keys: ManifestKeys.anyStage, file: file)
        let kind = try kind(of: name, implied: implied, keys)
        try refuseKeysOfOthers(kind, keys)
        return Manifest.Stage(
            name: name, kind: kind, replicas: kind.runsOnDevice ? try replicas(keys) : [],
            foreign: kind == .foreign ? try foreign(keys) : nil,
            after: try keys["after"].map { value throws(ManifestError) in try names(value, "after") } ?? [])
    }

    private func kind(
        of name: Located<String>, implied: Manifest.StageKind?, _ keys: KeyedValues
    ) throws(ManifestError) -> Manifest.StageKind {
        guard let written = keys["kind"] else {
            if let implied { return implied }
            let kinds = Manifest.StageKind.allCases.map(\.rawValue)
            let hint = Words.suggestion(for: name.value, of: kinds, called: "kinds")
            throw ManifestError(
                .missingKey, file, name.position, "\(keys.what) has no \"kind\", and its name is not that of a kind\(hint)")
        }
        let kind: Located<Manifest.StageKind> = try scalars.choice(written, "kind")
        if let implied, implied != kind.value {
            throw ManifestError(
                .badValue, file, written.position,
                "a stage named \(name.value) is of kind \(implied.rawValue), and \(kind.value.rawValue) stands here; give it another name")
        }
        return kind.value
    }

    private func refuseKeysOfOthers(_ kind: Manifest.StageKind, _ keys: KeyedValues) throws(ManifestError) {
        let own = ManifestKeys.stage(kind)
        for key in keys.all.map(\.key) where !own.contains(key.value) {
            let reason = key.value.hasPrefix("device") || key.value == "replicas" ? "it runs on the host; " : ""
            throw ManifestError(
                .unknownKey, file, key.position,
                "key \"\(key.value)\" does not belong to \(keys.what) of kind \(kind.rawValue): \(reason)its keys are \(Words.list(own))")
        }
    }

    private func replicas(_ keys: KeyedValues) throws(ManifestError) -> [Manifest.Stage.Replica] {
        guard let value = keys["replicas"] else { return [try replica(keys)] }
        for other in ManifestKeys.replica {
            guard let both = keys.key(other) else { continue }
            throw ManifestError(.badValue, file, both.position, "\(keys.what) has both replicas and \(other); write \(other) in each replica")
        }
        let wanted = "a list of replicas, each a device's name or a mapping with device or devices, as [trn0, trn1]"
        guard case .list(let items) = value.content else { throw scalars.wrong(value, "replicas", wanted) }
        guard !items.isEmpty, items.count <= Self.maximumReplicas else {
            throw ManifestError(.badValue, file, value.position, "replicas lists \(items.count); list 1 to \(Self.maximumReplicas)")
        }
        var list: [Manifest.Stage.Replica] = []
        for (index, item) in items.enumerated() { list.append(try replica(item, "replica \(index + 1) of \(keys.what)", wanted)) }
        try refuseShared(list, keys.what)
        return list
    }

    private func replica(_ value: SourceValue, _ what: String, _ wanted: String) throws(ManifestError) -> Manifest.Stage.Replica {
        if case .scalar = value.content { return .init(devices: [try scalars.text(value, "replicas", wanted)], split: nil) }
        let keys = try KeyedValues(value, what, keys: ManifestKeys.replica, file: file)
        let replica = try replica(keys)
        guard !replica.devices.isEmpty else {
            throw ManifestError(.missingKey, file, value.position, "\(what) has no \"device\"; write its name, or devices and how their layers are split")
        }
        return replica
    }

    private func replica(_ keys: KeyedValues) throws(ManifestError) -> Manifest.Stage.Replica {
        .init(devices: try stageDevices(keys), split: try keys["split"].map(split))
    }

    private func refuseShared(_ replicas: [Manifest.Stage.Replica], _ what: String) throws(ManifestError) {
        var seen: Set<String> = []
        for device in replicas.flatMap(\.devices) where !seen.insert(device.value).inserted {
            throw ManifestError(
                .badValue, file, device.position, "device \(Words.quoted(device.value)) is in two replicas of \(what); give each devices of its own")
        }
    }

    private func stageDevices(_ keys: KeyedValues) throws(ManifestError) -> [Located<String>] {
        guard let list = keys["devices"] else {
            return try keys["device"].map { value throws(ManifestError) in [try scalars.text(value, "device", "a device's name")] } ?? []
        }
        if let both = keys.key("device") {
            throw ManifestError(.badValue, file, both.position, "\(keys.what) has both device and devices; keep one")
        }
        let devices = try names(list, "devices")
        var seen: Set<String> = []
        for device in devices where !seen.insert(device.value).inserted {
            throw ManifestError(.badValue, file, device.position, "device \(Words.quoted(device.value)) is listed twice; list each once")
        }
        return devices
    }

    /// A list of names, or one.
    private func names(_ value: SourceValue, _ key: String) throws(ManifestError) -> [Located<String>] {
        if case .scalar = value.content { return [try scalars.text(value, key, "a name or a list of names")] }
        guard case .list(let items) = value.content else { throw scalars.wrong(value, key, "a name or a list of names") }
        guard !items.isEmpty, items.count <= Self.maximumCount else {
            throw ManifestError(.badValue, file, value.position, "\(key) lists \(items.count) names; list 1 to \(Self.maximumCount)")
        }
        var names: [Located<String>] = []
        for item in items { names.append(try scalars.text(item, key, "a list of names")) }
        return names
    }

    private func split(_ value: SourceValue) throws(ManifestError) -> Located<Manifest.Stage.Split> {
        let wanted = "\"layers\", or a list with a number of layers for each device, as [15, 15]"
        switch value.content {
        case .scalar("layers", _): return Located(.layers, at: value.position)
        case .list(let items) where !items.isEmpty && items.count <= Self.maximumCount:
            var counts: [Int] = []
            for item in items { counts.append(try scalars.integer(item, "split", 1...65536).value) }
            return Located(.counts(counts), at: value.position)
        default: throw scalars.wrong(value, "split", wanted)
        }
    }

    private func foreign(_ keys: KeyedValues) throws(ManifestError) -> Manifest.Foreign {
        let hooks = ForeignHook.allCases.map(\.rawValue)
        let hook: Located<ForeignHook> = try scalars.choice(
            keys.required("at", "where it is called: \(Words.list(hooks))"), "at")
        let library = try scalars.text(keys.required("library", "the path of a shared library"), "library", "the path of a shared library")
        let wanted = hook.value.signature
        let text = try scalars.text(
            keys.required("signature", "\"\(wanted)\" with the function's name for f"), "signature", "a signature, as \"\(wanted)\"")
        let signature = try signature(text)
        if let difference = hook.value.difference(from: signature) {
            throw ManifestError(
                .wrongType, file, text.position, "\(hook.value.rawValue) calls \"\(wanted)\", and this signature does not fit: \(difference)")
        }
        return Manifest.Foreign(
            library: library, function: try function(keys, signature, text.position), signature: Located(signature, at: text.position), hook: hook)
    }

    private func signature(_ text: Located<String>) throws(ManifestError) -> StageSignature {
        do throws(StageSignature.Failure) { return try StageSignature(text.value) } catch {
            throw ManifestError(.badValue, file, text.position, error.description)
        }
    }

    /// The key `function`, or the signature's name. With both, the key says which symbol is called.
    private func function(
        _ keys: KeyedValues, _ signature: StageSignature, _ position: SourcePosition?
    ) throws(ManifestError) -> Located<String> {
        if let written = keys["function"] { return try scalars.text(written, "function", "the name of a C function") }
        guard !signature.name.isEmpty else {
            throw ManifestError(
                .missingKey, file, keys.position, "\(keys.what) has no \"function\", and its signature has no name; write one of them")
        }
        return Located(signature.name, at: position)
    }
}
