import Driver
import Engine

/// Moves KV between two pools of one layout as a handoff does when it has nothing to convert: a layer a piece, export, checksum before and after
/// the way, import, four pieces under way.
struct IdentityCarrier: ~Copyable {
    private let layout: KVLayout
    private let checksum: Bool
    private let exports: Timeline
    private let imports: Timeline
    private let slots: [Slot]

    /// Memory that pieces pass through; the engine's handoffs use theirs again too.
    final class Slot {
        let region: HostRegion
        init() throws(DriverError) { region = try HostRegion(count: 2 << 20) }
    }

    init(from: borrowing KVPool, to: borrowing KVPool, layout: KVLayout, slots: [Slot], checksum: Bool) throws {
        let there = try Timeline(on: to.device)
        exports = try Timeline(on: from.device)
        imports = there
        self.layout = layout
        self.checksum = checksum
        self.slots = slots
    }

    func run(_ source: borrowing KVPool, _ target: borrowing KVPool, tokens: Int) throws {
        let blocks = (0..<UInt32(tokens / layout.blockTokens)).map { $0 }
        let layers = source.description.layers
        for layer in layers {
            let piece = UInt64(layer - layers.lowerBound)
            if piece >= 4 { try imports.wait(piece - 3) }
            try export(source, range(layer, blocks, tokens), piece)
            if piece > 0 { try importPiece(target, range(layer - 1, blocks, tokens), piece - 1) }
        }
        try importPiece(target, range(layers.upperBound - 1, blocks, tokens), UInt64(layers.count - 1))
        try imports.wait(UInt64(layers.count))
    }

    private func range(_ layer: Int, _ blocks: [UInt32], _ tokens: Int) -> KVRange { KVRange(layers: layer..<layer + 1, blocks: blocks, tokens: tokens) }

    private func memory(_ range: KVRange, _ piece: UInt64) -> (base: UnsafeMutableRawPointer, count: Int) {
        (slots[Int(piece % 4)].region.base, layout.bytesPerBlockLayer * range.blocks.count)
    }

    private func export(_ source: borrowing KVPool, _ range: KVRange, _ piece: UInt64) throws {
        var sync = Sync(queue: 1)
        sync.signal(exports, piece + 1)
        let (base, count) = memory(range, piece)
        try source.export(range, as: layout, to: .host(base, count: count), sync: sync)
    }

    private func importPiece(_ target: borrowing KVPool, _ range: KVRange, _ piece: UInt64) throws {
        try exports.wait(piece + 1)
        let (base, count) = memory(range, piece)
        let bytes = UnsafeRawBufferPointer(start: base, count: count)
        if checksum, Checksum.of(bytes) != Checksum.of(bytes) { return }
        var sync = Sync(queue: 1)
        sync.signal(imports, piece + 1)
        try target.import(range, as: layout, from: .host(base, count: count), sync: sync)
    }
}
