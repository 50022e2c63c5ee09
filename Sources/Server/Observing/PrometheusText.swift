/// Prometheus' text format, version 0.0.4.
struct PrometheusText {
    private(set) var text = ""
    private var described: Set<String> = []

    mutating func counter(_ name: String, _ help: String, _ value: Double, _ labels: [(String, String)] = []) {
        describe(name, help, "counter")
        line(name, labels, value)
    }

    mutating func gauge(_ name: String, _ help: String, _ value: Double, _ labels: [(String, String)] = []) {
        describe(name, help, "gauge")
        line(name, labels, value)
    }

    /// - Parameter counts: of each bucket by itself, and one more for what is beyond the last bound.
    mutating func histogram(_ name: String, _ help: String, bounds: [Double], counts: [Int], sum: Double, _ labels: [(String, String)] = []) {
        describe(name, help, "histogram")
        var total = 0
        for (bound, count) in zip(bounds, counts) {
            total += count
            line(name + "_bucket", labels + [("le", Self.number(bound))], Double(total))
        }
        total += counts.last ?? 0
        line(name + "_bucket", labels + [("le", "+Inf")], Double(total))
        line(name + "_sum", labels, sum)
        line(name + "_count", labels, Double(total))
    }

    private mutating func describe(_ name: String, _ help: String, _ type: String) {
        guard described.insert(name).inserted else { return }
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
    }

    private mutating func line(_ name: String, _ labels: [(String, String)], _ value: Double) {
        let inner = labels.map { "\($0.0)=\"\(Self.escaped($0.1))\"" }.joined(separator: ",")
        text += labels.isEmpty ? "\(name) \(Self.number(value))\n" : "\(name){\(inner)} \(Self.number(value))\n"
    }

    private static func number(_ value: Double) -> String {
        value.rounded() == value && abs(value) < 1e15 ? "\(Int(value))" : "\(value)"
    }

    private static func escaped(_ text: String) -> String {
        text.reduce(into: "") { escaped, character in
            switch character {
            case "\\": escaped += "\\\\"
            case "\"": escaped += "\\\""
            case "\n": escaped += "\\n"
            default: escaped.append(character)
            }
        }
    }
}
