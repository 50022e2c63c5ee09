/// Reads the parameters of a layer, each error one line that names layer, parameter and what would do.
struct LayerParameters {
    let layer: LayerName
    let place: LayerPlace

    init(_ layer: LayerName, _ place: LayerPlace, known: [String]) throws(DriverError) {
        self.layer = layer
        self.place = place
        for parameter in layer.parameters where !known.contains(parameter.name) {
            throw wrong("has no parameter \(ForeignText.quoted(parameter.name)); its parameters: \(known.isEmpty ? "none" : known.joined(separator: ", "))")
        }
    }

    func wrong(_ words: String) -> DriverError {
        DriverError(.invalidArgument, driver: place.driver, call: "layers", detail: "device \(place.device): layer \(layer.kind.rawValue) \(words)")
    }

    func text(_ name: String) -> String? { layer[name] }

    func whole(_ name: String, _ range: ClosedRange<UInt64>) throws(DriverError) -> UInt64? {
        guard let text = layer[name] else { return nil }
        guard let number = UInt64(text), range.contains(number) else {
            throw wrong("has \(name)=\(text); give a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func fraction(_ name: String) throws(DriverError) -> Double? {
        guard let text = layer[name] else { return nil }
        guard let number = Double(text), (0...1).contains(number) else { throw wrong("has \(name)=\(text); give a number from 0 to 1") }
        return number
    }

    /// `250ms`, `2s`, `1m`, as nanoseconds.
    func time(_ name: String) throws(DriverError) -> UInt64? {
        guard let text = layer[name] else { return nil }
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let units: [String: UInt64] = ["us": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000]
        guard let unit = units[String(text.dropFirst(digits.count))], let count = UInt64(digits), count > 0, count <= 3_600_000 else {
            throw wrong("has \(name)=\(text); give a time such as 250ms, 2s or 1m")
        }
        return count * unit
    }

    func choice<T: RawRepresentable<String> & CaseIterable>(_ name: String, of type: T.Type) throws(DriverError) -> T? {
        guard let text = layer[name] else { return nil }
        guard let found = T(rawValue: text) else {
            throw wrong("has \(name)=\(text); give one of \(T.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return found
    }
}
