// SPDX-License-Identifier: Apache-2.0

/// Draws an edge as horizontal and vertical lines between boxes, in the gaps where no box stands, with a place for its label.
struct PathRouter {
    private typealias Box = PictureLayout.Box
    private typealias Measure = PictureLayout.Measure

    let boxes: [Graph.Edge.End: PictureLayout.Box]
    let lanes: [PictureLayout.Lane]

    /// Nil when an end has no box.
    mutating func path(_ edge: Graph.Edge, _ label: PictureLayout.Label) -> PictureLayout.Path? {
        guard let from = boxes[edge.from], let to = boxes[edge.to] else { return nil }
        var path = PictureLayout.Path(role: edge.role, points: [], label: label)
        switch edge.role {
        case .feedback: feedback(from, to, &path)
        case .handoff: handoff(from, to, &path)
        case .flow where edge.type == .logits && from.lane != to.lane && from.column < to.column - 1: firstLogits(from, to, &path)
        case .flow where edge.type == .logits && from.lane != to.lane: stepLogits(from, to, &path)
        case .flow where from.lane != to.lane: up(from, to, &path)
        case .flow: straight(from, to, &path)
        }
        return path
    }

    private func straight(_ from: PictureLayout.Box, _ to: PictureLayout.Box, _ path: inout PictureLayout.Path) {
        path.points = [(from.right, from.middle), (to.x, from.middle)]
        path.label.x = (from.right + to.x - 6) / 2
        path.label.y = from.middle
    }

    /// From the host to prefill.
    private func up(_ from: PictureLayout.Box, _ to: PictureLayout.Box, _ path: inout PictureLayout.Path) {
        let x = (from.right + to.x) / 2
        path.points = [(from.right, from.middle), (x, from.middle), (x, to.middle), (to.x, to.middle)]
        path.label.x = x
        path.label.y = (lanes[to.lane].y + lanes[to.lane].height + from.middle) / 2
    }

    /// Out of prefill low, down past the host, into decode.
    private func handoff(_ from: PictureLayout.Box, _ to: PictureLayout.Box, _ path: inout PictureLayout.Path) {
        let x = (from.right + to.x) / 2
        let y = from.y + from.height * 0.72
        path.points = [(from.right, y), (x, y), (x, to.middle), (to.x, to.middle)]
        path.label.x = x
        path.label.y = lanes.first(where: \.isHost).map { $0.y + $0.height / 2 } ?? (y + to.middle) / 2
    }

    /// From prefill past decode's column, which is in another lane or in the way.
    private func firstLogits(_ from: PictureLayout.Box, _ to: PictureLayout.Box, _ path: inout PictureLayout.Path) {
        let gap = to.x - Measure.bend * 2.2
        let port = to.y + to.height * 0.3
        guard let blocking = boxes.values.first(where: { $0.lane == from.lane && $0.column > from.column && $0.column < to.column }) else {
            let y = from.y + from.height * 0.28
            path.points = [(from.right, y), (gap, y), (gap, port), (to.x, port)]
            path.label.x = (from.right + gap) / 2
            path.label.y = y
            return
        }
        let below = lanes[from.lane].y + lanes[from.lane].height
        let y = (below + lanes[to.lane].y) / 2
        let x = blocking.right + Measure.bend
        let low = to.y + to.height * 0.7
        path.points = [(from.x + from.width / 2, from.y + from.height), (from.x + from.width / 2, y), (x, y), (x, low), (to.x, low)]
        path.label.x = (from.x + from.width / 2 + x) / 2
        path.label.y = y
    }

    /// From decode to the stage in the next column.
    private func stepLogits(_ from: PictureLayout.Box, _ to: PictureLayout.Box, _ path: inout PictureLayout.Path) {
        let isAbove = from.lane < to.lane
        let y = from.y + from.height * (isAbove ? 0.74 : 0.26)
        let port = to.y + to.height * (isAbove ? 0.3 : 0.7)
        let gap = to.x - Measure.bend * (isAbove ? 1.4 : 2.2)
        path.points = [(from.right, y), (gap, y), (gap, port), (to.x, port)]
        path.label.x = (from.right + gap) / 2
        path.label.y = y
    }

    /// From sample round to the right side of decode, beyond the logits.
    private func feedback(_ from: PictureLayout.Box, _ to: PictureLayout.Box, _ path: inout PictureLayout.Path) {
        let isAbove = to.lane < from.lane
        let y = to.y + to.height * (isAbove ? 0.26 : 0.74)
        let x = from.x + from.width / 2
        path.points = [(x, isAbove ? from.y : from.y + from.height), (x, y), (to.right, y)]
        path.label.x = (to.right + x + 6) / 2
        path.label.y = y
    }
}
