/// Draws SVG. Coordinates are pixels; colours are classes that follow the reader's light or dark scheme.
struct Canvas {
    private var parts: [String] = []
    let width: Double

    init(width: Double) { self.width = width }

    enum Anchor: String { case start, middle, end }

    mutating func text(_ x: Double, _ y: Double, _ text: String, _ style: String = "", anchor: Anchor = .start) {
        parts.append("<text x=\"\(Self.number(x))\" y=\"\(Self.number(y))\" class=\"\(style)\" text-anchor=\"\(anchor.rawValue)\">\(Self.escaped(text))</text>")
    }

    mutating func rectangle(_ x: Double, _ y: Double, _ width: Double, _ height: Double, _ style: String, title: String = "") {
        let inside = title.isEmpty ? "" : "<title>\(Self.escaped(title))</title>"
        parts.append(
            "<rect x=\"\(Self.number(x))\" y=\"\(Self.number(y))\" width=\"\(Self.number(max(0, width)))\" height=\"\(Self.number(max(0, height)))\" rx=\"2\" class=\"\(style)\">\(inside)</rect>")
    }

    mutating func line(_ points: [(x: Double, y: Double)], _ style: String) {
        guard points.count > 1 else { return }
        parts.append("<polyline points=\"\(Self.joined(points))\" class=\"line \(style)\"/>")
    }

    /// The part below `points` down to `floor`.
    mutating func area(_ points: [(x: Double, y: Double)], floor: Double, _ style: String) {
        guard let first = points.first, let last = points.last else { return }
        parts.append("<polygon points=\"\(Self.joined([(first.x, floor)] + points + [(last.x, floor)]))\" class=\"area \(style)\"/>")
    }

    /// The picture as a file of its own.
    func svg(height: Double, label: String) -> String {
        let (width, height) = (Self.number(width), Self.number(height))
        return """
            <svg xmlns="http://www.w3.org/2000/svg" width="\(width)" height="\(height)" viewBox="0 0 \(width) \(height)" role="img" aria-label="\(Self.escaped(label))">
            <style>\(Self.style)</style>
            <rect width="\(width)" height="\(height)" class="ground"/>
            \(parts.joined(separator: "\n"))
            </svg>

            """
    }

    private static func joined(_ points: [(x: Double, y: Double)]) -> String {
        points.map { "\(number($0.x)),\(number($0.y))" }.joined(separator: " ")
    }

    /// One place after the point at most.
    private static func number(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return tenths % 10 == 0 ? "\(tenths / 10)" : "\(Double(tenths) / 10)"
    }

    static func escaped(_ text: String) -> String {
        text.reduce(into: "") { result, character in
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            default: result.append(character)
            }
        }
    }

    /// Line colours `c0`...`c5`, for loads in their order.
    static let colours = 6

    private static let style = """
        text{font:12px system-ui,-apple-system,"Segoe UI",sans-serif;fill:#1f2933}\
        .title{font-size:20px;font-weight:650}.head{font-size:13px;font-weight:600}.dim{fill:#5b6876}.figure{font-variant-numeric:tabular-nums}\
        .ground{fill:#ffffff}.grid{stroke:#e3e8ee;stroke-width:1;fill:none}.axis{stroke:#9aa5b1;stroke-width:1;fill:none}.row{fill:#f4f6f9}\
        .line{fill:none;stroke-width:2;stroke-linejoin:round}.area{stroke:none;opacity:.28}.bound{stroke:#b42318;stroke-width:1.5;stroke-dasharray:5 4}.boundText{fill:#b42318}\
        .c0{stroke:#0b6bcb;fill:#0b6bcb}.c1{stroke:#0f8a6c;fill:#0f8a6c}.c2{stroke:#b26a00;fill:#b26a00}.c3{stroke:#a23b8f;fill:#a23b8f}\
        .c4{stroke:#5b5bd6;fill:#5b5bd6}.c5{stroke:#5f6b7a;fill:#5f6b7a}.line.c0,.line.c1,.line.c2,.line.c3,.line.c4,.line.c5{fill:none}rect.c0,rect.c1,rect.c2,rect.c3,rect.c4,rect.c5{stroke:none}\
        @media (prefers-color-scheme:dark){text{fill:#e4e9ef}.dim{fill:#9fb0c0}.ground{fill:#11161c}.grid{stroke:#26303a}.axis{stroke:#5b6876}.row{fill:#192029}\
        .bound{stroke:#ff8a7a}.boundText{fill:#ff8a7a}.c0{stroke:#5aa9ff;fill:#5aa9ff}.c1{stroke:#3fc9a2;fill:#3fc9a2}.c2{stroke:#f0a840;fill:#f0a840}\
        .c3{stroke:#e07fce;fill:#e07fce}.c4{stroke:#9a9aff;fill:#9a9aff}.c5{stroke:#a5b1bf;fill:#a5b1bf}}
        """
}

/// Where values lie on a straight axis from zero, and round ticks on it.
struct Axis {
    let most: Double
    let ticks: [Double]

    /// - Parameter most: of the values; the axis ends a little beyond, at a tick.
    init(upTo most: Double, steps: Int = 4) {
        let wanted = max(most, 1e-9) / Double(steps)
        var unit = 1.0
        while unit > wanted { unit /= 10 }
        while unit * 10 <= wanted { unit *= 10 }
        let step = [1, 2, 2.5, 5, 10].first { $0 * unit >= wanted * 0.999 }.map { $0 * unit } ?? unit * 10
        let count = Int((max(most, 1e-9) / step).rounded(.up))
        ticks = (0...max(1, count)).map { Double($0) * step }
        self.most = ticks.last ?? step
    }

    /// 0...1.
    func share(_ value: Double) -> Double { min(max(value / most, 0), 1) }
}
