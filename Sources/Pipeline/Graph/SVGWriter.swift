// SPDX-License-Identifier: Apache-2.0

/// Writes a layout as SVG. Colours are classes of one style sheet, so that a viewer's preference can choose between light and dark.
struct SVGWriter {
    private(set) var text = ""
    private typealias Measure = PictureLayout.Measure

    init(_ layout: PictureLayout, _ theme: GraphPicture.Theme) {
        let (width, height) = (number(layout.width), number(layout.height))
        text += "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"\(width)\" height=\"\(height)\" viewBox=\"0 0 \(width) \(height)\" role=\"img\">\n"
        text += "<title>\(escaped(layout.title))</title>\n<style>\n\(Self.style(theme))</style>\n"
        text += Self.markers
        text += "<rect class=\"page\" x=\"0.5\" y=\"0.5\" width=\"\(number(layout.width - 1))\" height=\"\(number(layout.height - 1))\" rx=\"12\"/>\n"
        write(layout.title, "heading", layout.lanes.first?.x ?? 0, Measure.margin + 14)
        for lane in layout.lanes { write(lane) }
        for path in layout.paths { write(path) }
        for box in layout.boxes.values.sorted(by: { $0.column < $1.column }) { write(box) }
        for path in layout.paths { write(path.label, path.role) }
        for (index, line) in layout.footer.enumerated() {
            write(line, "note", Measure.margin, layout.height - Measure.margin + 4 - Double(layout.footer.count - 1 - index) * 16)
        }
        text += "</svg>\n"
    }

    private mutating func write(_ lane: PictureLayout.Lane) {
        text += rectangle(lane.isHost ? "lane host" : "lane", lane.x, lane.y, lane.width, lane.height, radius: 10)
        var y = lane.y + 20
        for caption in lane.captions {
            write(caption.text, caption.isTitle ? "lanetitle" : "note", lane.x + 14, caption.isTitle ? y : y - 1)
            y += caption.height
        }
    }

    private mutating func write(_ box: PictureLayout.Box) {
        let x = box.x + box.width / 2
        text += rectangle(box.isEnd ? "end" : box.isForeign ? "box foreign" : "box", box.x, box.y, box.width, box.height, radius: box.isEnd ? 15 : 8)
        let content = Measure.title + Double(box.lines.count) * Measure.line + (box.lines.isEmpty ? 0 : 4)
        var y = box.middle - content / 2 + 12
        write(box.name, box.isEnd ? "endtext middle" : "name middle", x, y)
        y += 4
        for line in box.lines {
            y += Measure.line
            write(line, "note middle", x, y)
        }
    }

    private mutating func write(_ path: PictureLayout.Path) {
        let head = path.role == .handoff ? "hot" : "plain"
        text += "<path class=\"edge \(path.role.rawValue)\" d=\"\(rounded(path.points))\" marker-end=\"url(#\(head))\"/>\n"
    }

    private mutating func write(_ label: PictureLayout.Label, _ role: Graph.Edge.Role) {
        let style = role == .handoff ? "hot" : "cool"
        text += rectangle("label \(style)", label.x - label.width / 2, label.y - label.height / 2, label.width, label.height, radius: 6)
        var y = label.y - label.height / 2 + 14
        for (index, line) in label.lines.enumerated() {
            write(line, "type \(style) middle\(index == 0 && role == .handoff ? " strong" : "")", label.x, y)
            y += Measure.line
        }
    }

    private mutating func write(_ line: String, _ style: String, _ x: Double, _ y: Double) {
        text += "<text class=\"\(style)\" x=\"\(number(x))\" y=\"\(number(y))\">\(escaped(line))</text>\n"
    }

    private func rectangle(_ style: String, _ x: Double, _ y: Double, _ width: Double, _ height: Double, radius: Double) -> String {
        let place = "x=\"\(number(x))\" y=\"\(number(y))\" width=\"\(number(width))\" height=\"\(number(height))\""
        return "<rect class=\"\(style)\" \(place) rx=\"\(number(radius))\"/>\n"
    }

    /// The lines through `points`, their corners rounded.
    private func rounded(_ points: [(x: Double, y: Double)]) -> String {
        guard let first = points.first, let last = points.last else { return "" }
        var path = "M\(number(first.x)),\(number(first.y))"
        for (index, point) in points.enumerated().dropFirst().dropLast() {
            let (before, after) = (points[index - 1], points[index + 1])
            let into = toward(point, before), out = toward(point, after)
            path += " L\(number(into.x)),\(number(into.y)) Q\(number(point.x)),\(number(point.y)) \(number(out.x)),\(number(out.y))"
        }
        return path + " L\(number(last.x)),\(number(last.y))"
    }

    /// At most 8 from `point`, and at most half the way, toward `other`.
    private func toward(_ point: (x: Double, y: Double), _ other: (x: Double, y: Double)) -> (x: Double, y: Double) {
        let (dx, dy) = (other.x - point.x, other.y - point.y)
        let length = max(abs(dx), abs(dy))
        guard length > 0 else { return point }
        let part = min(8, length / 2) / length
        return (point.x + dx * part, point.y + dy * part)
    }

    /// One decimal; whole numbers without.
    private func number(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths < 0 ? "-" : "")\(abs(tenths) / 10).\(abs(tenths) % 10)"
    }

    private func escaped(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            case _ where scalar.value < 0x20 || scalar.value == 0xFFFE || scalar.value == 0xFFFF: escaped += " "
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
