// SPDX-License-Identifier: Apache-2.0

/// The order of the stages: that of their steps, and of every `after`. Errors: an `after` that names no stage, or one whose output the stage
/// does not take, and a cycle.
struct OrderProof {
    /// Each after everything it takes from.
    private(set) var nodes: [Graph.Node] = []

    /// `before` comes before `stage` because an `after` of `stage` says so.
    private struct Wish: Hashable {
        var before: Int
        var stage: Int
        var position: SourcePosition?
    }

    private let file: String
    private let all: [Graph.Node]
    private var wishes: [Wish] = []

    init(_ manifest: Manifest, _ nodes: [Graph.Node]) throws(ManifestError) {
        file = manifest.file
        // Written order within a step: that of the manifest.
        all = nodes.enumerated().sorted { ($0.element.step, $0.offset) < ($1.element.step, $1.offset) }.map(\.element)
        for stage in manifest.stages { wishes += try wishes(of: stage) }
        self.nodes = try order().map { all[$0] }
    }

    private func wishes(of stage: Manifest.Stage) throws(ManifestError) -> [Wish] {
        guard let index = all.firstIndex(where: { $0.name == stage.name.value }) else { return [] }
        var list: [Wish] = []
        for name in stage.after {
            guard let before = all.firstIndex(where: { $0.name == name.value }) else {
                let hint = Words.suggestion(for: name.value, of: all.map(\.name), called: "stages")
                throw ManifestError(.unknownName, file, name.position, "stage \(Words.quoted(name.value)) does not exist\(hint)")
            }
            try checkTypes(from: all[before], to: all[index], name.position)
            list.append(Wish(before: before, stage: index, position: name.position))
        }
        return list
    }

    private func checkTypes(from: Graph.Node, to: Graph.Node, _ position: SourcePosition?) throws(ManifestError) {
        guard Set(from.outputs).isDisjoint(with: to.inputs) else { return }
        func words(_ types: [PortType]) -> String { types.map(\.rawValue).joined(separator: " and ") }
        throw ManifestError(
            .graph, file, position, "stage \(to.name) takes \(words(to.inputs)), and stage \(from.name) gives \(words(from.outputs))")
    }

    /// Always the first stage, in the order of steps, that nothing left has to come before.
    private func order() throws(ManifestError) -> [Int] {
        var left = Array(all.indices)
        var isLeft = [Bool](repeating: true, count: all.count)
        var order: [Int] = []
        while !left.isEmpty {
            let waiting = Set(wishes.lazy.filter { isLeft[$0.before] }.map(\.stage))
            let step = left.first.map { all[$0].step }
            guard let next = left.firstIndex(where: { all[$0].step == step && !waiting.contains($0) }) else { throw cycle(left) }
            isLeft[left[next]] = false
            order.append(left.remove(at: next))
        }
        return order
    }

    /// Every stage left in the first step waits for another: going back from one to what it waits for comes round in the end.
    private func cycle(_ left: [Int]) -> ManifestError {
        var path: [Int] = []
        var here = left.first
        while let index = here, !path.contains(index) {
            path.append(index)
            let wish = wishes.first { $0.stage == index && left.contains($0.before) }
            here = wish?.before ?? left.last { all[$0].step < all[index].step }
        }
        let loop = path.drop { $0 != here }
        let names = ([here].compactMap(\.self) + loop.reversed()).map { all[$0].name }
        let position = wishes.first { wish in loop.contains(wish.stage) && loop.contains(wish.before) }?.position
        let shown = names.count > 12 ? Array(names.prefix(6)) + ["..."] + Array(names.suffix(5)) : names
        return ManifestError(.graph, file, position, "the stages go round in a cycle: \(shown.joined(separator: " -> ")); take out an \"after\"")
    }
}
