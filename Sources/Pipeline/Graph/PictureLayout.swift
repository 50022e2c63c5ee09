// SPDX-License-Identifier: Apache-2.0

/// Where everything in a picture goes. Columns are the stages in their order, from left to right; lanes are the devices: prefill's on top, the
/// host's in the middle, decode's below, so that edges between lanes run in the gaps between columns and do not cross.
struct PictureLayout {
    struct Box {
        var name: String
        var lines: [String]
        var isForeign = false
        /// The ends of the pipeline are drawn without a border.
        var isEnd = false
        var column = 0
        var lane = 0
        var x = 0.0, y = 0.0, width = 0.0, height = 0.0

        var right: Double { x + width }
        var middle: Double { y + height / 2 }
    }

    struct Lane {
        /// The title of each device, followed by what is said about it.
        var captions: [Caption]
        var isHost: Bool
        var x = 0.0, y = 0.0, width = 0.0, height = 0.0
        var titleHeight: Double { 14 + captions.reduce(0) { $0 + $1.height } }
    }

    struct Caption {
        var text: String
        var isTitle: Bool
        var width: Double { TextMeasure.width(text, size: isTitle ? 12 : Measure.small, isBold: isTitle) }
        var height: Double { isTitle ? 17 : Measure.line }
    }

    struct Path {
        var role: Graph.Edge.Role
        var points: [(x: Double, y: Double)]
        var label: Label
    }

    struct Label {
        var lines: [String]
        var x = 0.0, y = 0.0
        var width: Double { TextMeasure.width(lines, size: Measure.small) + 12 }
        var height: Double { Double(lines.count) * Measure.line + 6 }
    }

    enum Measure {
        static let title = 14.0
        static let small = 11.0
        static let line = 15.0
        static let margin = 24.0
        static let header = 40.0
        static let laneGap = 26.0
        /// From a column's edge to the first vertical line in a gap, and between two.
        static let bend = 14.0
    }

    let title: String
    let footer: [String]
    private(set) var boxes: [Graph.Edge.End: Box] = [:]
    private(set) var lanes: [Lane] = []
    private(set) var paths: [Path] = []
    private(set) var width = 0.0
    private(set) var height = 0.0

    /// The stages from left to right, ends of the pipeline included.
    private var columns: [Graph.Edge.End] = []
    private var isAggregated: Bool { lanes.count == 2 }
    private var hostLane: Int { 1 }

    init(_ picture: GraphPicture) {
        title = picture.title
        footer = picture.annotations.footer.map(picture.shortened)
        makeLanes(picture)
        makeBoxes(picture)
        let labels = Dictionary(uniqueKeysWithValues: picture.graph.edges.map { ($0, Label(lines: picture.lines(of: $0))) })
        placeColumns(picture.graph.edges, labels)
        placeLanes(picture.graph.edges, labels)
        var router = PathRouter(boxes: boxes, lanes: lanes)
        paths = picture.graph.edges.compactMap { edge in labels[edge].flatMap { router.path(edge, $0) } }
        finish()
    }

    private mutating func makeLanes(_ picture: GraphPicture) {
        let devices = picture.deviceGroups.map { group in
            let captions = group.devices.flatMap { device in
                [Caption(text: picture.title(of: device), isTitle: true)]
                    + picture.lines(of: device).map { Caption(text: $0, isTitle: false) }
            }
            return Lane(captions: captions, isHost: false)
        }
        let host = Lane(captions: [Caption(text: "host", isTitle: true)], isHost: true)
        lanes = devices.count == 1 ? [devices[0], host] : [devices[0], host] + devices.dropFirst()
    }

    private mutating func makeBoxes(_ picture: GraphPicture) {
        columns = [.prompt] + picture.graph.nodes.map { .stage($0.name) } + [.completion]
        boxes[.prompt] = Box(name: "prompt", lines: [], isEnd: true, lane: hostLane)
        boxes[.completion] = Box(name: "text", lines: [], isEnd: true, lane: hostLane)
        for node in picture.graph.nodes {
            let lane = node.devices.isEmpty ? hostLane : node.kind == .decode ? (isAggregated ? 0 : 2) : 0
            boxes[.stage(node.name)] = Box(name: node.name, lines: picture.lines(of: node), isForeign: node.foreign != nil, lane: lane)
        }
        for (index, end) in columns.enumerated() { size(end, column: index) }
    }

    private mutating func size(_ end: Graph.Edge.End, column: Int) {
        guard var box = boxes[end] else { return }
        box.column = column
        box.width = max(TextMeasure.width(box.name, size: Measure.title, isBold: true), TextMeasure.width(box.lines, size: Measure.small)) + 28
        box.height = box.isEnd ? 30 : max(44, 34 + Double(box.lines.count) * Measure.line + (box.lines.isEmpty ? 0 : 6))
        boxes[end] = box
    }

    /// A gap is as wide as the labels in it. A label stands in the gap before the edge's end, or after its start.
    private mutating func placeColumns(_ edges: [Graph.Edge], _ labels: [Graph.Edge: Label]) {
        var gaps = [Double](repeating: 44, count: columns.count)
        for (edge, label) in labels {
            guard let from = boxes[edge.from], let to = boxes[edge.to] else { continue }
            let gap = edge.role == .feedback ? to.column : to.column - 1
            // Two edges turn in the gap before the first box that takes logits, and the handoff's label stands on its vertical line.
            let turns = edge.type == .logits && from.column != to.column - 1 ? 0 : Measure.bend * 4
            gaps[gap] = max(gaps[gap], label.width + turns)
        }
        var x = Measure.margin * 2
        for (index, end) in columns.enumerated() {
            boxes[end]?.x = x
            x += (boxes[end]?.width ?? 0) + gaps[index]
        }
    }

    private mutating func placeLanes(_ edges: [Graph.Edge], _ labels: [Graph.Edge: Label]) {
        let right = boxes.values.map(\.right).max() ?? 0
        spreadDecode(labels)
        var y = Measure.margin + Measure.header
        for index in lanes.indices {
            let inside = boxes.values.filter { $0.lane == index }
            let tallest = inside.map(\.height).max() ?? 0
            // The handoff's label stands in the host's lane, between boxes.
            let label = labels.filter { $0.key.role == .handoff && lanes[index].isHost }.map(\.value.height).max() ?? 0
            lanes[index].x = Measure.margin
            lanes[index].y = y
            lanes[index].width = max(right, titleWidth) - Measure.margin + Measure.margin
            let content = max(tallest, label)
            let above = titleRoom(index)
            lanes[index].height = max(above + content + 18, lanes[index].titleHeight + 10)
            let middle = y + (above + lanes[index].height - 18) / 2
            for end in columns {
                guard let box = boxes[end], box.lane == index else { continue }
                boxes[end]?.y = middle - box.height / 2
            }
            y += lanes[index].height + laneGap(labels)
        }
    }

    /// The height kept free above a lane's boxes: all of its titles, or little where the boxes begin to the right of them.
    private func titleRoom(_ index: Int) -> Double {
        let lane = lanes[index]
        let first = boxes.values.filter { $0.lane == index }.map(\.x).min() ?? 0
        return lane.x + 14 + titleWidth(lane) < first - 60 ? 18 : lane.titleHeight
    }

    private func titleWidth(_ lane: Lane) -> Double { lane.captions.map(\.width).max() ?? 0 }

    /// Two edges meet decode on its right side, and prefill has two as well: the boxes are tall enough for both labels.
    private mutating func spreadDecode(_ labels: [Graph.Edge: Label]) {
        for end in columns {
            guard let box = boxes[end], !box.isEnd else { continue }
            let ports = labels.filter { ($0.key.from == end || $0.key.to == end) && $0.key.role != .handoff }
            let beside = ports.filter { $0.key.role == .feedback ? $0.key.to == end : $0.key.from == end || box.lane != hostLane }
            guard box.lane != hostLane, let tallest = beside.map(\.value.height).max() else { continue }
            boxes[end]?.height = max(box.height, tallest * 2 + 12, 72)
        }
    }

    /// In the aggregated picture the logits of prefill pass below decode, with their label.
    private func laneGap(_ labels: [Graph.Edge: Label]) -> Double {
        guard isAggregated else { return Measure.laneGap }
        let tallest = labels.filter { $0.key.type == .logits }.map(\.value.height).max() ?? 0
        return max(Measure.laneGap, tallest + 14)
    }

    private var titleWidth: Double {
        let lines = lanes.map(titleWidth)
        let header = TextMeasure.width(title, size: 16, isBold: true)
        return max(lines.max() ?? 0, header, TextMeasure.width(footer, size: Measure.small)) + Measure.margin + 28
    }

    private mutating func finish() {
        let last = lanes.last
        width = (last.map { $0.x + $0.width } ?? 0) + Measure.margin
        height = (last.map { $0.y + $0.height } ?? 0) + Measure.margin + Double(footer.count) * 16 + (footer.isEmpty ? 0 : 6)
    }
}
