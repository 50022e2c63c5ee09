import Driver
import Engine

/// Moves KV between two pools of one layout as a handoff does when it has nothing to convert: a layer at a time, export, checksum before and after
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
        let pieces = pieces(source.description.layers, tokens)
        for (index, piece) in pieces.enumerated() {
            if index >= 4 { try imports.wait(UInt64(index - 3)) }
            try export(source, piece, UInt64(index))
            if index > 0 { try importPiece(target, pieces[index - 1], UInt64(index - 1)) }
        }
        try importPiece(target, pieces[pieces.count - 1], UInt64(pieces.count - 1))
        try imports.wait(UInt64(pieces.count))
    }

    /// A layer at a time, in pieces as a handoff's.
    private func pieces(_ layers: Range<Int>, _ tokens: Int) -> [KVRange] {
        let blocks = tokens / layout.blockTokens, each = Staging.share(of: blocks, each: layout.bytesPerBlockLayer)
        return layers.flatMap { layer in
            stride(from: 0, to: blocks, by: each).map { first in
                let blocks = first..<min(first + each, blocks)
                return KVRange(layers: layer..<layer + 1, blocks: blocks.map { UInt32($0) }, tokens: blocks.count * layout.blockTokens)
            }
        }
    }

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
