// SPDX-License-Identifier: Apache-2.0

/// Reads the layers around a device's driver, and its deadlines.
struct LayerReader {
    let file: String
    let scalars: SourceScalars

    init(_ file: String) {
        self.file = file
        scalars = SourceScalars(file: file)
    }

    /// `[validate, {fault: {call: submit, at: 3, kind: hang}}]`, or one of them alone. Outermost first.
    func layers(_ value: SourceValue, _ device: String) throws(ManifestError) -> [Manifest.Device.Layer] {
        guard case .list(let items) = value.content else { return [try layer(value, device)] }
        var list: [Manifest.Device.Layer] = []
        for item in items { list.append(try layer(item, device)) }
        return list
    }

    private func layer(_ value: SourceValue, _ device: String) throws(ManifestError) -> Manifest.Device.Layer {
        let wanted = "a layer's name, or a name with its parameters, as {trace: {file: calls.json}}"
        guard case .mapping(let pairs) = value.content else {
            let name = try scalars.text(value, "a layer of \(device)", wanted)
            return Manifest.Device.Layer(name: try known(name, device), parameters: [])
        }
        guard pairs.count == 1, let pair = pairs.first else { throw scalars.wrong(value, "a layer of \(device)", "one layer; \(wanted)") }
        let name = try known(pair.key, device)
        guard !pair.value.isNothing else { return Manifest.Device.Layer(name: name, parameters: []) }
        let what = "layer \(name.value) of \(device)"
        let keys = try KeyedValues(pair.value, what, keys: ManifestKeys.layers[name.value] ?? [], file: file)
        return Manifest.Device.Layer(name: name, parameters: try parameters(keys))
    }

    private func known(_ name: Located<String>, _ device: String) throws(ManifestError) -> Located<String> {
        let names = ManifestKeys.layers.keys.sorted()
        guard !names.contains(name.value) else { return name }
        let hint = Words.suggestion(for: name.value, of: names, called: "layers")
        throw ManifestError(.unknownName, file, name.position, "\(device) has an unknown layer \(Words.quoted(name.value))\(hint)")
    }

    private func parameters(_ keys: KeyedValues) throws(ManifestError) -> [Manifest.Device.Option] {
        var list: [Manifest.Device.Option] = []
        for pair in keys.all {
            let name = pair.key.value
            let value: Located<String>
            switch name {
            case "kind": value = try word(pair.value, name, ManifestKeys.faultKinds)
            case "signal": value = try word(pair.value, name, ManifestKeys.faultSignals)
            case "call": value = try word(pair.value, name, ManifestKeys.calls)
            case "at", "times", "seed", "layer":
                let number: Located<UInt64> = try scalars.integer(pair.value, name, (name == "at" || name == "times" ? 1 : 0)...UInt64(Int64.max))
                value = Located("\(number.value)", at: number.position)
            case "rate":
                let number = try scalars.number(pair.value, name, "a number from 0 to 1") { (0...1).contains($0) }
                value = Located("\(number.value)", at: number.position)
            case "for": value = try time(pair.value, name)
            default: value = try scalars.text(pair.value, name)
            }
            list.append(Manifest.Device.Option(name: pair.key, value: value))
        }
        return list
    }

    private func word(_ value: SourceValue, _ name: String, _ words: [String]) throws(ManifestError) -> Located<String> {
        let text = try scalars.text(value, name, "one of \(Words.list(words))")
        guard words.contains(text.value) else {
            let hint = Words.suggestion(for: text.value, of: words, called: "it is one of")
            throw ManifestError(.badValue, file, text.position, "\(name) is unknown: \(Words.quoted(text.value))\(hint)")
        }
        return text
    }

    private func time(_ value: SourceValue, _ name: String) throws(ManifestError) -> Located<String> {
        let time = try scalars.duration(value, name)
        let parts = time.value.components
        return Located("\(parts.seconds * 1_000 + parts.attoseconds / 1_000_000_000_000_000)ms", at: time.position)
    }

    /// `on`, or `{call: 5s, batch: 30s}`: deadlines of calls into a driver; those not written are the standard ones.
    func watchdog(_ value: SourceValue, _ what: String) throws(ManifestError) -> Manifest.Watchdog {
        if case .scalar = value.content {
            return Manifest.Watchdog(isOn: try scalars.flag(value, what).value, deadlines: [])
        }
        let keys = try KeyedValues(value, what, keys: ManifestKeys.watchdog, file: file)
        var list: [Manifest.Device.Option] = []
        for pair in keys.all { list.append(Manifest.Device.Option(name: pair.key, value: try time(pair.value, pair.key.value))) }
        return Manifest.Watchdog(isOn: true, deadlines: list)
    }
}
