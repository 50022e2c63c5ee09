import Driver
@testable import Engine
import Model
import TestKit

/// One device, or several with a stage split over them, with two open stages of the whole model: two pools that share nothing.
final class Site {
    /// What a run's arithmetic is rounded to. Two sites that compute in the same numerics compute the same numbers.
    enum Numerics: String { case f32, native, bf16, f16 }

    let name: String
    let numerics: Numerics
    let placed: PlacedStage
    let here: OpenStage
    let there: OpenStage

    init(_ name: String, _ numerics: Numerics, model: ModelFile, catalog: DriverCatalog, devices: [StageDevices.Named]) throws {
        self.name = name
        self.numerics = numerics
        placed = try PlacedStage(StageDevices(stage: "both", devices: devices), model, context: 256, sequences: 1, catalog)
        var opener = StageOpener(model: model, progress: nil)
        here = try opener.open(placed)
        there = try opener.open(placed)
    }

    /// The dtype KV is kept in.
    var kept: DType { placed.parts[0].info.kvDType }
}

/// A prompt prefilled on one site and decoded, token by forced token, there or on another.
struct HandoffProof {
    let prompt: [Int32]
    /// What is fed to decode, so that every run is asked the same.
    let forced: [Int32]

    /// Logits of the forced tokens, and the KV of the prompt as f32 in one plain order.
    struct Outcome {
        var logits: [[Float]] = []
        var kv: [Float] = []
        var state = HandoffState.offered
    }

    /// Prefill and decode in one place.
    func alone(_ site: Site) throws -> Outcome {
        let stage = site.here
        var kv = try KVState(reserving: prompt.count + forced.count, from: stage.allocator)
        _ = try Prefill(stage: stage, trace: nil).run(prompt, into: &kv, tokenStep: 1)
        var outcome = Outcome(kv: try Self.contents(site, stage, kv.blocks, tokens: prompt.count), state: .adopted)
        outcome.logits = try decode(stage, &kv)
        return outcome
    }

    /// Prefill at `a`, handoff along `links` into a pool of `b` that shares nothing with a's, decode at `b`.
    func across(_ a: Site, _ b: Site, _ links: [HandoffLink]) throws -> Outcome {
        var there = try KVState(reserving: prompt.count + forced.count, from: b.there.allocator)
        var here = try KVState(reserving: prompt.count, from: a.here.allocator)
        let handoff = try Handoff(
            links: links, from: a.here, to: b.there, prefillBlocks: here.blocks, prefillGeneration: here.generation,
            decodeBlocks: there.blocks, generation: there.generation, tokens: there.capacity, settings: HandoffSettings(deadline: 60_000_000_000),
            trace: nil, tamper: nil)
        defer { handoff.close() }
        let step = links.map(\.plan.tokenStep).max() ?? 1
        _ = try Prefill(stage: a.here, trace: nil).run(
            prompt, into: &here, tokenStep: step,
            chunkReady: { (part: Int, base: UInt64, range: Range<Int>) throws(EngineError) in
                try handoff.drain(part: part, base: base, tokens: range)
            })
        try handoff.finish(wallEnd: nil, modelledEnd: nil)
        there.tokens = prompt.count
        var outcome = Outcome(kv: try Self.contents(b, b.there, there.blocks, tokens: prompt.count), state: handoff.state)
        outcome.logits = try decode(b.there, &there)
        return outcome
    }

    private func decode(_ stage: OpenStage, _ kv: inout KVState) throws -> [[Float]] {
        var steps = Decode(stage: stage, trace: nil)
        var rows: [[Float]] = []
        for token in forced {
            try steps.step(token, &kv)
            var row: [Float] = []
            try stage.readLogits(rows: 1, into: &row)
            rows.append(row)
        }
        return rows
    }

    /// What a stage's pools hold of the first `tokens` tokens: [layer][plane][head][token][dim], as f32.
    private static func contents(_ site: Site, _ stage: OpenStage, _ blocks: [UInt32], tokens: Int) throws -> [Float] {
        var all: [Float] = []
        for (placed, part) in zip(site.placed.parts, stage.parts) {
            let from = try placed.layouts(importing: false)[0]
            var plain = from
            plain.dtype = .f32
            plain.axes = [.layer, .plane, .head, .block, .token, .dim]
            plain.blockTokens = tokens
            let used = Array(blocks.prefix(from.blocks(for: tokens)))
            let wire = try HostRegion(count: used.count * part.layers.count * from.bytesPerBlockLayer)
            var sync = Sync(queue: part.copyQueue)
            let exported = try Timeline(on: part.device)
            sync.signal(exported, 1)
            let range = KVRange(layers: part.layers, blocks: used, tokens: tokens)
            try part.pool.export(range, as: from, to: .host(wire.base, count: wire.count), sync: sync)
            try exported.wait(1)
            var floats = [Float](repeating: 0, count: part.layers.count * plain.bytesPerBlockLayer / 4)
            floats.withUnsafeMutableBytes { bytes in
                KVConversion(from: from, to: plain).run(UnsafeRawBufferPointer(wire.bytes), to: bytes, layers: part.layers.count, tokens: tokens)
            }
            all += floats
        }
        return all
    }

    /// Every way from `a` to `b` that differs in kind: for each set of conversions that some pair of listed layouts needs, the links of
    /// the first such pair.
    static func ways(_ a: Site, _ b: Site) throws -> [(name: String, links: [HandoffLink])] {
        var ways: [(name: String, links: [HandoffLink])] = []
        let exports = try a.placed.parts.map { try $0.layouts(importing: false) }
        let imports = try b.placed.parts.map { try $0.layouts(importing: true) }
        for (i, from) in exports[0].enumerated() {
            for (j, to) in imports[0].enumerated() {
                guard let conversion = HandoffPlan.conversion(from: from, to: to) else { continue }
                let name = "\(conversion)"
                guard !ways.contains(where: { $0.name == name }) else { continue }
                ways.append((name, try links(a, b, exports.map { $0[i] }, imports.map { $0[j] })))
            }
        }
        return ways
    }

    private static func links(_ a: Site, _ b: Site, _ from: [KVLayout], _ to: [KVLayout]) throws -> [HandoffLink] {
        var links: [HandoffLink] = []
        for (i, source) in a.placed.parts.enumerated() {
            for (j, target) in b.placed.parts.enumerated() where source.layers.overlaps(target.layers) {
                let plan = try HandoffPlan(exports: [from[i]], imports: [to[j]])
                links.append(HandoffLink(prefillPart: i, decodePart: j, layers: source.layers.clamped(to: target.layers), plan: plan))
            }
        }
        return links
    }

    /// `values` rounded to nearest even in one dtype after another.
    static func rounded(_ values: [Float], _ dtypes: [DType]) -> [Float] {
        let halves = dtypes.map { $0 == .f16 }
        let bfloats = dtypes.map { $0 == .bf16 }
        var result = values
        result.withUnsafeMutableBufferPointer { all in
            for step in dtypes.indices where halves[step] || bfloats[step] {
                var i = 0
                while i < all.count {
                    if halves[step] { all[i] = Float(Float16(all[i])) } else {
                        let bits = all[i].bitPattern
                        all[i] = Float(bitPattern: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) & 0xFFFF_0000)
                    }
                    i += 1
                }
            }
        }
        return result
    }

    /// The first element whose bits differ, or where the shorter ends; nil when all are the same.
    static func firstDifference(_ a: [Float], _ b: [Float]) -> Int? {
        let same = a.count == b.count && a.withUnsafeBytes { x in b.withUnsafeBytes { y in x.elementsEqual(y) } }
        guard !same else { return nil }
        return zip(a, b).enumerated().first { $0.element.0.bitPattern != $0.element.1.bitPattern }?.offset ?? min(a.count, b.count)
    }

    /// How far apart two sets of logits are: root mean square of the difference over that of `b` about its mean.
    static func distance(_ a: [[Float]], _ b: [[Float]]) -> Double {
        let (x, y) = (a.joined().map(Double.init), b.joined().map(Double.init))
        let mean = y.reduce(0, +) / Double(y.count)
        let difference = zip(x, y).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        return (difference / y.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }).squareRoot()
    }
}
