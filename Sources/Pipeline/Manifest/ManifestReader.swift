// SPDX-License-Identifier: Apache-2.0

/// Reads the manifest proper: keys, types and ranges, one value after another, in the order that a reader of the file would check them.
struct ManifestReader {
    let file: String
    let scalars: SourceScalars

    private init(_ file: String) {
        self.file = file
        scalars = SourceScalars(file: file)
    }

    static func read(_ source: SourceText) throws(ManifestError) -> Manifest {
        let reader = ManifestReader(source.file)
        let value = try SourceReader.read(source)
        var manifest = try reader.manifest(value)
        manifest.trust = try reader.trust(value)
        return manifest
    }

    private func manifest(_ value: SourceValue) throws(ManifestError) -> Manifest {
        let keys = try KeyedValues(value, "the manifest", file: file, wanted: "a mapping that begins with \"baton: \(Manifest.version)\"")
        // A manifest of a later version may have keys of its own, so the version is looked at before them.
        if let version = keys["baton"] { try checkVersion(version) }
        try keys.refuseOthers(than: ManifestKeys.manifest)
        _ = try keys.required("baton", "\"baton: \(Manifest.version)\" first")
        let model = try scalars.text(
            try keys.required("model", "a name in the model cache or the path of a .gguf file"), "model",
            "a name in the model cache or the path of a .gguf file")
        return Manifest(
            file: file, model: Located(Manifest.Model(model.value), at: model.position),
            devices: try devices(keys.required("devices", "at least one, as \"devices: {host: {driver: cpu}}\"")),
            stages: try keys["stages"].map(stages) ?? [], stagesPosition: keys.key("stages")?.position,
            handoff: try keys["handoff"].map(handoff) ?? Manifest.Handoff(), routing: try keys["routing"].map(routing) ?? Located(.auto),
            context: try keys["context"].map { value throws(ManifestError) in try scalars.integer(value, "context", 1...Int(Int32.max)) },
            sampling: try keys["sampling"].map(sampling) ?? Manifest.Sampling())
    }

    private func checkVersion(_ value: SourceValue) throws(ManifestError) {
        let version: Located<Int> = try scalars.integer(value, "baton", 0...Int(Int32.max))
        guard version.value == Manifest.version else {
            throw ManifestError(
                .version, file, value.position,
                "the manifest is of version \(version.value), and this Baton reads version \(Manifest.version); write \"baton: \(Manifest.version)\"")
        }
    }

    private func devices(_ value: SourceValue) throws(ManifestError) -> [Manifest.Device] {
        let keys = try KeyedValues(value, "devices", file: file, wanted: "a mapping of names to devices, as {host: {driver: cpu}}")
        guard !keys.all.isEmpty else {
            throw ManifestError(.missingKey, file, value.position, "devices is empty; write at least one, as {host: {driver: cpu}}")
        }
        var list: [Manifest.Device] = []
        for pair in keys.all { list.append(try device(scalars.name(pair.key, of: "device"), pair.value)) }
        return list
    }

    private func device(_ name: Located<String>, _ value: SourceValue) throws(ManifestError) -> Manifest.Device {
        let what = "device \(name.value)"
        if case .scalar = value.content {
            return Manifest.Device(name: name, driver: try scalars.text(value, what, "a driver's name, or a mapping with driver"), options: [])
        }
        let keys = try KeyedValues(value, what, keys: ManifestKeys.device, file: file)
        let driver = try keys.required("driver", "a driver's name, as cpu")
        return Manifest.Device(
            name: name, driver: try scalars.text(driver, "driver", "a driver's name, or the path of its library"),
            options: try keys["options"].map { value throws(ManifestError) in try options(value, what) } ?? [], isolation: try isolation(keys, what))
    }

    private func options(_ value: SourceValue, _ device: String) throws(ManifestError) -> [Manifest.Device.Option] {
        let keys = try KeyedValues(value, "options of \(device)", file: file, wanted: "a mapping of names to values, as {chips: 1}")
        var list: [Manifest.Device.Option] = []
        for pair in keys.all {
            let value = try scalars.text(pair.value, "option \(Words.quoted(pair.key.value))", "a number, a word or text")
            list.append(Manifest.Device.Option(name: try scalars.name(pair.key, of: "option"), value: value))
        }
        return list
    }

    private func handoff(_ value: SourceValue) throws(ManifestError) -> Manifest.Handoff {
        let keys = try KeyedValues(value, "handoff", keys: ManifestKeys.handoff, file: file)
        return Manifest.Handoff(
            overlap: try keys["overlap"].map { value throws(ManifestError) in try scalars.choice(value, "overlap") } ?? Located(.layer),
            dtype: try keys["dtype"].map { value throws(ManifestError) in try scalars.choice(value, "dtype") } ?? Located(.auto),
            checksum: try keys["checksum"].map { value throws(ManifestError) in try scalars.flag(value, "checksum") } ?? Located(true),
            deadline: try keys["deadline"].map { value throws(ManifestError) in try scalars.duration(value, "deadline") }
                ?? Located(.seconds(2)),
            onFailure: try keys["on_failure"].map { value throws(ManifestError) in try scalars.choice(value, "on_failure") }
                ?? Located(.recompute))
    }

    /// `{mode: auto}`, or just `auto`.
    private func routing(_ value: SourceValue) throws(ManifestError) -> Located<Manifest.Routing> {
        if case .scalar = value.content { return try scalars.choice(value, "routing") }
        let keys = try KeyedValues(value, "routing", keys: ManifestKeys.routing, file: file)
        return try keys["mode"].map { value throws(ManifestError) in try scalars.choice(value, "mode") } ?? Located(.auto)
    }

    private func sampling(_ value: SourceValue) throws(ManifestError) -> Manifest.Sampling {
        let keys = try KeyedValues(value, "sampling", keys: ManifestKeys.sampling, file: file)
        func number(_ key: String, _ wanted: String, where isGood: (Double) -> Bool) throws(ManifestError) -> Located<Double>? {
            guard let value = keys[key] else { return nil }
            return try scalars.number(value, key, wanted, where: isGood)
        }
        return Manifest.Sampling(
            temperature: try number("temperature", "a number from 0 to 100") { (0...100).contains($0) },
            topK: try keys["top_k"].map { value throws(ManifestError) in try scalars.integer(value, "top_k", 0...Int(Int32.max)) },
            topP: try number("top_p", "a number above 0 and at most 1") { $0 > 0 && $0 <= 1 },
            minP: try number("min_p", "a number from 0 to 1") { (0...1).contains($0) },
            repetitionPenalty: try number("repetition_penalty", "a number above 0 and at most 100") { $0 > 0 && $0 <= 100 },
            seed: try keys["seed"].map { value throws(ManifestError) in try scalars.integer(value, "seed", 0...UInt64.max) })
    }
}
