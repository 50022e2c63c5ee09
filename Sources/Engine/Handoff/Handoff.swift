import Driver
import Synchronization

/// Carries the KV of one sequence from prefill's devices to decode's, layer by layer while prefill goes on.
///
/// Decisions are `HandoffMachine`'s; this does what it says. Exports are queued behind the layer events of prefill, on the copy queue;
/// the host converts and checks each piece in its own memory, then queues the import. Used by one thread.
final class Handoff {
    private let links: [HandoffLink]
    private let prefill: OpenStage
    private let decode: OpenStage
    /// As they were when it began: a stage may be opened anew meanwhile.
    private let prefillParts: [OpenPart]
    private let decodeParts: [OpenPart]
    private let settings: HandoffSettings
    private let tamper: (@Sendable (Int, UnsafeMutableRawBufferPointer) -> Void)?
    private var machine: HandoffMachine
    private var staging: Staging
    private let prefillBlocks: [UInt32]
    private let prefillGeneration: UInt64
    private let decodeBlocks: [UInt32]
    private(set) var figures = HandoffFigures()
    private var isSettled = false
    /// When the layers that came last were seen to be complete.
    private var lastReady: UInt64?
    /// Modelled times, where both devices have modelled clocks.
    private var modelled: ModelledTransfer?
    private let trace: Trace?

    /// By part of prefill, and by part of decode.
    private var exports: [Copies] = []
    private var imports: [Copies] = []
    private let lost = Atomic<Bool>(false)
    /// Copies may still be under way though it has ended: neither side's blocks may be used again until it is false. Any thread.
    var isLost: Bool { lost.load(ordering: .acquiring) }

    struct Pending {
        var piece: Int
        var copies: Copies
        var value: UInt64
    }
    private var pendingImports: [Pending] = []

    /// A piece whose export is queued.
    private struct Begun {
        var link: HandoffLink
        var layers: Range<Int>
        var tokens: Range<Int>
        var from: OpenPart
        /// When the layers are complete, in `from`'s layer events.
        var ready: UInt64
        var slot: Staging.Slot
        /// When the export has ended, in the exports of the link.
        var value: UInt64
    }
    /// Exports that are queued while the piece before them is checked and imported; at most this many.
    private static let ahead = 1
    private var begun: [Begun] = []

    init(
        links: [HandoffLink], from prefill: OpenStage, to decode: OpenStage, prefillBlocks: [UInt32], prefillGeneration: UInt64,
        decodeBlocks: [UInt32], generation: UInt64, tokens: Int, settings: HandoffSettings, trace: Trace?,
        tamper: (@Sendable (Int, UnsafeMutableRawBufferPointer) -> Void)?
    ) throws(EngineError) {
        LostHandoffs.sweep()
        self.links = links
        self.prefill = prefill
        self.decode = decode
        prefillParts = prefill.parts
        decodeParts = decode.parts
        self.settings = settings
        self.prefillBlocks = prefillBlocks
        self.prefillGeneration = prefillGeneration
        self.decodeBlocks = decodeBlocks
        self.trace = trace
        self.tamper = tamper
        machine = HandoffMachine(tokens: tokens, deadline: settings.deadline, now: WallClock.now)
        _ = machine.handle(.reserved(generation: generation), now: WallClock.now)
        do throws(DriverError) {
            staging = try Staging()
            for part in prefillParts { exports.append(try Copies(on: part.device)) }
            for part in decodeParts { for _ in 0..<Staging.count { imports.append(try Copies(on: part.device)) } }
        } catch { throw EngineError(error) }
        let clocks = Set((prefillParts + decodeParts).map(\.device.info.clock))
        if clocks == [.modelled] { modelled = ModelledTransfer() }
    }

    deinit {
        if case .adopted = machine.state { staging.giveBack() } else if isSettled, !isLost { staging.giveBack() }
    }

    var state: HandoffState { machine.state }

    /// Moves the KV of tokens `range` of the layers of `part`, whose run's layer events begin at `base`. `range` begins at a token step.
    func drain(part: Int, base: UInt64, tokens range: Range<Int>) throws(EngineError) {
        let from = prefillParts[part]
        for link in links where link.prefillPart == part {
            for layers in groups(link, range.count) {
                let ready = base + UInt64(layers.upperBound - from.layers.lowerBound)
                try move(link, layers, range, after: ready, from: from)
            }
        }
        try complete(leaving: 0)
    }

    /// Moves the KV of tokens `range`, which was there before any run that is not over: runs up to layer event `base` of `part`.
    func drainPresent(part: Int, base: UInt64, tokens range: Range<Int>) throws(EngineError) {
        for link in links where link.prefillPart == part {
            for layers in groups(link, range.count) { try move(link, layers, range, after: base, from: prefillParts[part]) }
        }
        try complete(leaving: 0)
    }

    /// Layers that go in one piece: one at a time with overlap, else as many as fit a piece.
    private func groups(_ link: HandoffLink, _ tokens: Int) -> [Range<Int>] {
        let perLayer = max(1, link.plan.wireBytes(tokens: tokens, layers: 1))
        let size = settings.overlapsLayers ? 1 : max(1, Staging.pieceBytes / perLayer)
        return stride(from: link.layers.lowerBound, to: link.layers.upperBound, by: size).map {
            $0..<min($0 + size, link.layers.upperBound)
        }
    }

    private func move(_ link: HandoffLink, _ layers: Range<Int>, _ range: Range<Int>, after ready: UInt64, from: OpenPart) throws(EngineError) {
        let step = link.plan.tokenStep
        let (steps, perStep) = ((range.count + step - 1) / step, max(1, link.plan.wireBytes(tokens: step, layers: layers.count)))
        let most = Staging.share(of: steps, each: perStep) * step
        var start = range.lowerBound
        while start < range.upperBound {
            let end = min(start + most, range.upperBound)
            try piece(link, layers, start..<end, after: ready, from: from)
            start = end
        }
    }

    private func piece(_ link: HandoffLink, _ layers: Range<Int>, _ tokens: Range<Int>, after ready: UInt64, from: OpenPart) throws(EngineError) {
        do throws(DriverError) { begun.append(try begin(link, layers, tokens, after: ready, from: from)) } catch { try fail(error) }
        try complete(leaving: Self.ahead)
    }

    /// Checks and imports the pieces begun first, until only `count` are left.
    private func complete(leaving count: Int) throws(EngineError) {
        while begun.count > count {
            do throws(DriverError) { try carry(begun.removeFirst()) } catch { try fail(error) }
            if case .aborted = machine.state { try abort() }
        }
    }

    /// Queues the export of a piece behind the events of its layers.
    private func begin(_ link: HandoffLink, _ layers: Range<Int>, _ tokens: Range<Int>, after ready: UInt64, from: OpenPart) throws(DriverError) -> Begun {
        let plan = link.plan
        let slot = try staging.slot(
            wire: plan.wireBytes(tokens: tokens.count, layers: layers.count),
            converted: plan.conversion.isEmpty ? 0 : plan.importBytes(tokens: tokens.count, layers: layers.count),
            free: { (value: Int) throws(DriverError) in try self.retire(piece: value) })
        let copies = exports[link.prefillPart]
        var sync = Sync(queue: from.copyQueue)
        sync.wait(for: from.layerEvents, ready)
        sync.signal(copies.timeline, copies.value + 1)
        let range = KVRange(layers: layers, blocks: Self.blocks(prefillBlocks, tokens, plan.from.blockTokens), tokens: tokens.count)
        try from.pool.export(range, as: plan.from, to: .host(slot.wireBase, count: slot.wire.count), sync: sync)
        copies.value += 1
        return Begun(link: link, layers: layers, tokens: tokens, from: from, ready: ready, slot: slot, value: copies.value)
    }

    private func carry(_ piece: Begun) throws(DriverError) {
        let (index, slot) = (figures.pieces, piece.slot)
        let produced = try piece.from.layerEvents.wait(piece.ready, timeout: settings.deadline &+ settings.patience)
        let began = WallClock.now
        lastReady = began
        let exported = try exports[piece.link.prefillPart].timeline.wait(piece.value, timeout: settings.deadline)
        let sent = settings.checksum ? Checksum.of(UnsafeRawBufferPointer(slot.wire)) : nil
        tamper?(index, slot.wire)
        let found = settings.checksum ? Checksum.of(UnsafeRawBufferPointer(slot.wire)) : nil
        figures.pieces += 1
        figures.bytes += slot.wire.count
        let actions = machine.handle(.arrived(piece: index, generation: machine.generation, sent: sent, found: found), now: WallClock.now)
        guard actions.contains(.importPiece(index)) else { return }
        try importPiece(piece.link, piece.layers, piece.tokens, slot, index)
        let ended = WallClock.now
        figures.busy &+= ended - began
        trace?.span(
            "piece \(index)", .handoff, from: began, to: ended,
            arguments: [("layers", "\(piece.layers)"), ("tokens", "\(piece.tokens)"), ("bytes", "\(slot.wire.count)")])
        modelled?.add(ready: produced.end, export: exported.nanoseconds, bytes: slot.wire.count)
    }

    private func importPiece(
        _ link: HandoffLink, _ layers: Range<Int>, _ tokens: Range<Int>, _ slot: Staging.Slot, _ index: Int
    ) throws(DriverError) {
        let to = decodeParts[link.decodePart]
        // A timeline for each slot: were a piece lost on the way, the signal of a later one would say that it had arrived.
        let copies = imports[link.decodePart * Staging.count + index % Staging.count]
        var (base, count) = (UnsafeRawPointer(slot.wireBase), slot.wire.count)
        if !link.plan.conversion.isEmpty {
            KVConversion(from: link.plan.from, to: link.plan.to).run(
                UnsafeRawBufferPointer(slot.wire), to: slot.converted, layers: layers.count, tokens: tokens.count)
            (base, count) = (UnsafeRawPointer(slot.convertedBase), slot.converted.count)
        }
        var sync = Sync(queue: to.copyQueue)
        sync.signal(copies.timeline, copies.value + 1)
        let range = KVRange(layers: layers, blocks: Self.blocks(decodeBlocks, tokens, link.plan.to.blockTokens), tokens: tokens.count)
        try to.pool.import(range, as: link.plan.to, from: .host(base, count: count), sync: sync)
        copies.value += 1
        pendingImports.append(Pending(piece: index, copies: copies, value: copies.value))
    }

    /// The blocks that hold `tokens`, which begin at a block.
    private static func blocks(_ table: [UInt32], _ tokens: Range<Int>, _ blockTokens: Int) -> [UInt32] {
        Array(table[tokens.lowerBound / blockTokens..<(tokens.upperBound + blockTokens - 1) / blockTokens])
    }

    /// Waits for imports up to and including `piece`, so that its staging may be used again.
    private func retire(piece: Int) throws(DriverError) {
        while let first = pendingImports.first, first.piece <= piece {
            let event = try first.copies.timeline.wait(first.value, timeout: settings.deadline)
            modelled?.imported(event.nanoseconds)
            pendingImports.removeFirst()
            _ = machine.handle(.imported(piece: first.piece), now: WallClock.now)
        }
    }

    /// Prefill has ended: waits for what is on its way and adopts.
    /// - Parameters:
    ///   - wallEnd: when prefill ended, on the host's clock; nil where its devices do not say: then it is taken to have ended when its last
    ///     layers were seen to be complete.
    ///   - modelledEnd: the modelled end of prefill.
    func finish(wallEnd: UInt64?, modelledEnd: UInt64?) throws(EngineError) {
        let ended = wallEnd ?? lastReady ?? WallClock.now
        do throws(DriverError) { try retire(piece: .max) } catch { try fail(error) }
        let actions = machine.handle(.prefillEnded(pieces: figures.pieces), now: WallClock.now)
        guard actions.contains(.adopt) else { return try abort() }
        let now = WallClock.now
        figures.exposed = now > ended ? now - ended : 0
        figures.hidden = figures.busy > figures.exposed ? figures.busy - figures.exposed : 0
        if let modelledEnd { figures.modelled = modelled?.result(prefillEnd: modelledEnd) }
    }

    private func fail(_ error: DriverError) throws(EngineError) {
        let reason: HandoffAbort =
            error.code == .deadlineExceeded ? .deadline(milliseconds: Int(settings.deadline / 1_000_000)) : .deviceFailed(error.description)
        _ = machine.handle(.failed(reason), now: WallClock.now)
        try abort()
    }

    /// Ends a handoff that was not adopted, whatever stopped it; nothing when it was.
    func close() {
        if case .adopted = machine.state { return }
        _ = machine.handle(.failed(.cancelled), now: WallClock.now)
        settle()
    }

    /// Both sides' blocks and the staging may be used again only when no queued copy can touch them any more.
    private func settle() {
        guard !isSettled else { return }
        isSettled = true
        guard !haveEnded(within: settings.deadline &+ settings.settling) else { return }
        prefill.allocator.quarantine(generation: prefillGeneration)
        decode.allocator.quarantine(generation: machine.generation)
        lost.store(true, ordering: .releasing)
        LostHandoffs.keep(self)
    }

    private func haveEnded(within timeout: UInt64) -> Bool {
        let end = WallClock.now &+ timeout
        return (exports + imports).allSatisfy { copies in
            let now = WallClock.now
            return copies.hasEnded(within: end > now ? end - now : 0)
        }
    }

    /// Gives the blocks of a lost handoff back if its copies have ended. For `LostHandoffs`.
    /// - Parameter closing: its stages are done with, so that their devices are quiesced.
    func recover(closing: Bool) {
        guard closing ? (exports + imports).allSatisfy({ $0.hasEnded(within: 0) || $0.quiesces(within: settings.settling) }) : haveEnded(within: 0)
        else { return }
        prefill.allocator.recover(generation: prefillGeneration)
        decode.allocator.recover(generation: machine.generation)
        lost.store(false, ordering: .releasing)
    }

    /// Whether it goes from the stage or to it.
    func isBetween(_ stage: OpenStage) -> Bool { stage === prefill || stage === decode }

    private func abort() throws(EngineError) {
        throw EngineError(.handoff, "handoff \(machine.state)")
    }
}

/// What the manifest says of handoffs.
public struct HandoffSettings: Sendable, Hashable {
    public var overlapsLayers: Bool
    public var checksum: Bool
    /// Nanoseconds that a piece may take, and that may pass from the end of prefill to adoption.
    public var deadline: UInt64
    /// Prefill again on the decode device when a handoff fails; else the request fails.
    public var recomputes: Bool
    /// Nanoseconds that the prefill of one batch may take before its layers are taken to be lost.
    var patience: UInt64 = 600_000_000_000
    /// Nanoseconds beyond the deadline in which copies of a handoff that is over are waited for before its blocks are taken to be lost.
    var settling: UInt64 = 10_000_000_000

    public init(overlapsLayers: Bool = true, checksum: Bool = true, deadline: UInt64 = 2_000_000_000, recomputes: Bool = true) {
        self.overlapsLayers = overlapsLayers
        self.checksum = checksum
        self.deadline = deadline
        self.recomputes = recomputes
    }
}

/// What one handoff took.
struct HandoffFigures {
    var pieces = 0
    /// Bytes exported.
    var bytes = 0
    /// Wall nanoseconds in which pieces were on their way.
    var busy: UInt64 = 0
    /// Wall nanoseconds from the end of prefill to adoption, and those of `busy` before that.
    var exposed: UInt64 = 0
    var hidden: UInt64 = 0
    var modelled: (exposed: UInt64, hidden: UInt64)?
}

/// The same pieces on modelled clocks: each is exported when its layers are complete and the exporter is free, then imported.
/// Only differences of one device's clock are used; the two devices' clocks are not compared.
struct ModelledTransfer {
    private var pieces: [(ready: UInt64, export: UInt64)] = []
    private var imports: [UInt64] = []

    mutating func add(ready: UInt64, export: UInt64, bytes: Int) { pieces.append((ready, export)) }
    mutating func imported(_ nanoseconds: UInt64) { imports.append(nanoseconds) }

    /// Nanoseconds after and before the end of prefill in which a piece was on its way.
    func result(prefillEnd: UInt64) -> (exposed: UInt64, hidden: UInt64) {
        var exporterFree: UInt64 = 0
        var importerFree: UInt64 = 0
        var busy: UInt64 = 0
        for (index, piece) in pieces.enumerated() {
            let exported = max(piece.ready, exporterFree) + piece.export
            let took = imports.indices.contains(index) ? imports[index] : 0
            exporterFree = exported
            importerFree = max(exported, importerFree) + took
            busy += piece.export + took
        }
        let exposed = importerFree > prefillEnd ? importerFree - prefillEnd : 0
        return (exposed, busy > exposed ? busy - exposed : 0)
    }
}
