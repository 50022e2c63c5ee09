import Driver

/// The thread of one stage: runs its batches, samples, and carries KV from it to the stages that decode. One for each stage, so that
/// prefill of new requests goes on beside decode of running ones.
final class StageRunner: @unchecked Sendable {
    /// A way that KV takes from this stage, by number of the pair.
    struct Way {
        var links: [HandoffLink]
        var decode: OpenStage
        /// The number of `decode`.
        var index: Int
    }

    let index: Int
    let stage: OpenStage
    /// All of the engine.
    private let stages: [OpenStage]
    private let ways: [Int: Way]
    private let core: ServingCore
    private let settings: HandoffSettings
    private let trace: Trace?
    /// For tests, as in `Engine`.
    private let tamper: (@Sendable (Int, UnsafeMutableRawBufferPointer) -> Void)?
    private var handoffs: [Schedule.ID: Handoff] = [:]
    /// Handoffs that are over and whose copies are not.
    private var lost: [Schedule.ID: [Handoff]] = [:]
    /// Nanoseconds until those are looked at again where there is nothing else to do.
    private static let recheck: UInt64 = 500_000_000
    private var generation: UInt64 = 0
    private var logits: [Float] = []
    private let device: String
    private let driver: String
    private let engine: String
    private let driverLayers: [String]

    init(
        _ index: Int, of stages: [OpenStage], ways: [Int: Way], core: ServingCore, settings: HandoffSettings, trace: Trace?,
        tamper: (@Sendable (Int, UnsafeMutableRawBufferPointer) -> Void)?
    ) {
        self.index = index
        self.stages = stages
        stage = stages[index]
        self.ways = ways
        self.core = core
        self.settings = settings
        self.trace = trace
        self.tamper = tamper
        let devices = stage.parts.map(\.device)
        device = devices.map(\.label).joined(separator: "+")
        driver = RunReport.unique(devices.map(\.library.name))
        engine = RunReport.unique(devices.map(\.info.engine.rawValue))
        driverLayers = RunReport.driverLayers(devices)
    }

    /// Until the engine closes.
    func loop() {
        while let command = core.next(index, within: lost.isEmpty ? nil : Self.recheck) {
            recover()
            switch command {
            case .run(let plan): run(plan)
            case .close(let id): core.handle(.handoffClosed(id, lost: abandon(id)))
            case .reopen: look()
            case .rest: break
            }
        }
        _ = abandonAll()
        if core.leave() { LostHandoffs.sweep(closing: stages) }
    }

    /// Gives back the blocks of requests whose copies have ended since.
    private func recover() {
        guard !lost.isEmpty else { return }
        LostHandoffs.sweep()
        for (id, handoffs) in lost where !handoffs.contains(where: \.isLost) {
            lost[id] = nil
            core.handle(.copiesEnded(id, stage: index))
        }
    }

    /// What became of the batch's handoffs while it ran.
    private struct Carried {
        var failures: [Schedule.ID: (error: EngineError, lost: Bool)] = [:]
        var modelledEnd: UInt64?
        var wallEnd: UInt64?
    }

    private func run(_ plan: Schedule.BatchPlan) {
        var carried = Carried()
        open(plan, &carried)
        let began = WallClock.now
        do throws(EngineError) {
            var batch = Self.batch(plan)
            let overlaps = settings.overlapsLayers
            var bases: [UInt64] = []
            let run = try stage.run(&batch) { (part: Int, base: UInt64) throws(EngineError) in
                if overlaps { carry(plan, part, base, &carried) } else { bases.append(base) }
            }
            for (part, base) in bases.enumerated() { carry(plan, part, base, &carried) }
            let ended = WallClock.now
            trace?.span(stage.name, .stage, from: began, to: ended, arguments: [("tokens", "\(plan.tokenCount)"), ("requests", "\(plan.items.count)")])
            count(plan, run, ended &- began, &carried)
            try finish(plan, carried)
        } catch {
            guard !stage.isLost else { return reopen(after: error) }
            let lost = plan.items.map(\.id).filter(abandon)
            core.handle(.batchFailed(stage: index, error, lost: Set(lost)))
        }
    }

    /// Others could not get KV to here.
    private func look() {
        guard stage.isLost else { return core.handle(.stageSeen(stage: index)) }
        do throws(EngineError) {
            try stage.reopen()
            core.handle(.stageReset(stage: index, EngineError(.driver, "device \(device) was lost while KV was on its way to it"), lost: abandonAll()))
        } catch { core.handle(.stageSeen(stage: index)) }
    }

    /// The device went with its driver's process: it is opened anew, and what it held is computed again or ends, as the schedule says.
    private func reopen(after error: EngineError) {
        let lost = abandonAll()
        do throws(EngineError) {
            try stage.reopen()
            core.handle(.stageReset(stage: index, error, lost: lost))
        } catch { core.handle(.batchFailed(stage: index, error, lost: lost)) }
    }

    /// Handoffs begin with the first chunk of a prompt.
    private func open(_ plan: Schedule.BatchPlan, _ carried: inout Carried) {
        for item in plan.items {
            guard let carry = item.carry, carry.isFirst, let way = ways[carry.pair] else { continue }
            generation += 1
            do throws(EngineError) {
                handoffs[item.id] = try Handoff(
                    links: way.links, from: stage, to: way.decode, prefillBlocks: item.table, prefillGeneration: 0,
                    decodeBlocks: carry.decodeTable, generation: generation, tokens: carry.capacity, settings: settings, trace: trace, tamper: tamper)
            } catch {
                tell(of: way)
                carried.failures[item.id] = (error, false)
            }
        }
    }

    /// Moves KV of one part's layers for every request of the batch, as the layers become complete.
    private func carry(_ plan: Schedule.BatchPlan, _ part: Int, _ base: UInt64, _ carried: inout Carried) {
        for item in plan.items {
            guard let carry = item.carry, carried.failures[item.id] == nil, let handoff = handoffs[item.id] else { continue }
            do throws(EngineError) {
                if carry.isFirst, carry.from < item.start { try handoff.drainPresent(part: part, base: base, tokens: carry.from..<item.start) }
                let range = max(item.start, carry.from)..<max(item.start + item.tokens.count, carry.from)
                if !range.isEmpty { try handoff.drain(part: part, base: base, tokens: range) }
            } catch { carried.failures[item.id] = (error, abandon(item.id)) }
        }
    }

    /// Closes the handoff of a request that goes no further. Gives whether its blocks may still be written to.
    private func abandon(_ id: Schedule.ID) -> Bool {
        guard let handoff = handoffs.removeValue(forKey: id) else { return false }
        handoff.close()
        core.count(handoff.figures, adopted: false)
        report(handoff, id)
        if let pair = core.session(id)?.admission?.pair, let way = ways[pair] { tell(of: way) }
        guard handoff.isLost else { return false }
        lost[id, default: []].append(handoff)
        return true
    }

    /// Where KV could not go because the device there is lost, that is said before the failure: nothing may run there that would show it.
    private func tell(of way: Way) {
        if way.decode.isLost { core.handle(.stageLost(stage: way.index)) }
    }

    /// Gives those whose blocks may still be written to.
    private func abandonAll() -> Set<Schedule.ID> { Set(Array(handoffs.keys).filter(abandon)) }

    private func report(_ handoff: Handoff, _ id: Schedule.ID) {
        guard let session = core.session(id), let pair = session.admission?.pair, let way = ways[pair] else { return }
        session.handoff = RunReport.Handoff(handoff.figures, handoff.state, plans: way.links.map(\.plan), adopts: false)
    }

    /// Samples, tells the schedule, which may send the next batch, and only then waits for KV that is on its way.
    private func finish(_ plan: Schedule.BatchPlan, _ carried: Carried) throws(EngineError) {
        let sessions = core.sessions(of: plan)
        let rows = plan.items.filter(\.wantsToken).count
        let outcomes = if rows == 0 { self.outcomes(plan, sessions, carried, nil) } else {
            try stage.withLogits(rows: rows, &logits) { (logits) throws(EngineError) in self.outcomes(plan, sessions, carried, logits) }
        }
        core.handle(.batchDone(stage: index, outcomes))
        for (item, session) in zip(plan.items, sessions) where item.carry?.isLast == true && carried.failures[item.id] == nil {
            settle(item.id, session, carried)
        }
    }

    /// What became of each item; `logits` has a row for each that wants a token.
    private func outcomes(
        _ plan: Schedule.BatchPlan, _ sessions: [Session?], _ carried: Carried, _ logits: UnsafeMutableBufferPointer<Float>?
    ) -> [Schedule.Outcome] {
        var next = 0
        return zip(plan.items, sessions).map { item, session in
            var kind = Schedule.Outcome.Kind.computed
            if let failure = carried.failures[item.id] {
                kind = .handoffFailed(failure.error, lost: failure.lost)
            } else if item.wantsToken, let session, let logits {
                let width = stage.vocabulary
                let row = UnsafeMutableBufferPointer(rebasing: logits[next * width..<(next + 1) * width])
                kind = sample(session, row, takesBack: item.carry != nil)
            }
            if item.wantsToken { next += 1 }
            return Schedule.Outcome(item.id, kind)
        }
    }

    private func sample(_ session: Session, _ row: UnsafeMutableBufferPointer<Float>, takesBack: Bool) -> Schedule.Outcome.Kind {
        do throws(EngineError) {
            let kind = try session.sample(row, canBeTakenBack: takesBack)
            if !takesBack { core.deliver(session) }
            return kind
        } catch { return .failed(error) }
    }

    /// Prefill of a request has ended: waits until its KV is where decode is.
    private func settle(_ id: Schedule.ID, _ session: Session?, _ carried: Carried) {
        guard let handoff = handoffs[id] else {
            return core.handle(.handoffFailed(id, EngineError(.handoff, "its handoff was closed before prefill had ended"), lost: false))
        }
        do throws(EngineError) {
            try handoff.finish(wallEnd: carried.wallEnd, modelledEnd: carried.modelledEnd)
            handoffs[id] = nil
            core.count(handoff.figures, adopted: true)
            report(handoff, id)
            if let session { core.deliver(session) }
            core.handle(.handedOver(id, exposed: handoff.figures.modelled?.exposed ?? handoff.figures.exposed))
        } catch { core.handle(.handoffFailed(id, error, lost: abandon(id))) }
    }

    private func count(_ plan: Schedule.BatchPlan, _ run: OpenStage.Run, _ wall: UInt64, _ carried: inout Carried) {
        carried.wallEnd = run.wallEnd
        var spent: [ServingMetrics.Busy] = []
        var modelled: UInt64?
        for (part, event) in zip(stage.parts, run.events) {
            let isModelled = event.clock == .modelled
            if isModelled {
                modelled = (modelled ?? 0) + event.nanoseconds
                carried.modelledEnd = event.end
                trace?.modelled(stage.name, device: part.device.label, from: event.start, to: event.end)
            }
            spent.append(
                .init(
                    device: part.device.label, wallNanoseconds: wall / UInt64(stage.parts.count),
                    modelledNanoseconds: isModelled ? event.nanoseconds : nil, batches: 1))
        }
        core.count(plan, spent, stage: stage.name, wall: wall)
        for (item, session) in zip(plan.items, core.sessions(of: plan)) {
            session?.add(
                item.isStep ? "decode" : "prefill",
                RunReport.Stage(
                    stage: item.isStep ? "decode" : "prefill", device: device, driver: driver, engine: engine, tokens: item.tokens.count,
                    wallNanoseconds: wall, modelledNanoseconds: modelled, driverLayers: driverLayers))
        }
    }

    private static func batch(_ plan: Schedule.BatchPlan) -> Batch {
        var batch = Batch()
        batch.tag = plan.items.first.map { UInt64($0.id) } ?? 0
        let stride = plan.items.map(\.table.count).max() ?? 0
        batch.blockTableStride = stride
        batch.sequenceCount = plan.items.count
        for (number, item) in plan.items.enumerated() {
            batch.tokens += item.tokens.map { UInt32(bitPattern: $0) }
            batch.positions += (item.start..<item.start + item.tokens.count).map(UInt32.init)
            batch.sequences += [UInt32](repeating: UInt32(number), count: item.tokens.count)
            batch.blockTables += item.table
            batch.blockTables += [UInt32](repeating: item.table.last ?? 0, count: stride - item.table.count)
            if item.wantsToken { batch.rows.append(UInt32(batch.tokens.count - 1)) }
        }
        return batch
    }
}
