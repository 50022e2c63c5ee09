@testable import Engine
import Testing

/// The schedule as a value: no device, no clock, no model.
struct ScheduleTests {
    enum Shape: String, CaseIterable, Sendable {
        case together, apart, adopted, twoToOne, oneToTwo, twoToTwo
        /// Two devices, each of which does both.
        case twice
        /// One prefills for the other, and does both as well.
        case overlapping
    }

    static func schedule(_ shape: Shape, blocks: Int = 40, sequences: Int = 4, chunk: Int = 16, _ change: (inout Schedule.Settings) -> Void = { _ in }) -> Schedule {
        var settings = Schedule.Settings()
        settings.mixedTokens = 8
        settings.packedTokens = 8
        settings.cooldown = 20_000
        change(&settings)
        func stage(_ name: String, _ ledger: Int) -> Schedule.Stage { .init(name: name, ledger: ledger, maxTokens: chunk, maxSequences: sequences) }
        let ledger = BlockLedger(blockCount: blocks, blockTokens: 4)
        switch shape {
        case .together: return Schedule(stages: [stage("all", 0)], pairs: [.init(prefill: 0, decode: 0)], ledgers: [ledger], settings: settings)
        case .adopted:
            return Schedule(stages: [stage("prefill", 0), stage("decode", 0)], pairs: [.init(prefill: 0, decode: 1)], ledgers: [ledger], settings: settings)
        case .apart:
            return Schedule(
                stages: [stage("prefill", 0), stage("decode", 1)], pairs: [.init(prefill: 0, decode: 1, tokenStep: 8, isUniform: false)],
                ledgers: [ledger, ledger], settings: settings)
        case .twoToOne:
            return Schedule(
                stages: [stage("p0", 0), stage("decode", 1), stage("p1", 2)],
                pairs: [.init(prefill: 0, decode: 1, tokenStep: 4), .init(prefill: 2, decode: 1, tokenStep: 4)], ledgers: [ledger, ledger, ledger], settings: settings)
        case .oneToTwo:
            return Schedule(
                stages: [stage("prefill", 0), stage("d0", 1), stage("d1", 2)],
                pairs: [1, 2].map { .init(prefill: 0, decode: $0, tokenStep: 8, isUniform: false, arithmetic: 0) }, ledgers: [ledger, ledger, ledger],
                settings: settings)
        case .twoToTwo:
            return Schedule(
                stages: [stage("p0", 0), stage("p1", 1), stage("d0", 2), stage("d1", 3)],
                pairs: [(0, 2), (0, 3), (1, 2), (1, 3)].map { .init(prefill: $0, decode: $1, tokenStep: 8, isUniform: false, arithmetic: 0) },
                ledgers: [ledger, ledger, ledger, ledger], settings: settings)
        case .twice:
            return Schedule(
                stages: [stage("a", 0), stage("b", 1)], pairs: [.init(prefill: 0, decode: 0), .init(prefill: 1, decode: 1)], ledgers: [ledger, ledger],
                settings: settings)
        case .overlapping:
            return Schedule(
                stages: [stage("both", 0), stage("decode", 1)], pairs: [.init(prefill: 0, decode: 0), .init(prefill: 0, decode: 1, tokenStep: 4, isUniform: false)],
                ledgers: [ledger, ledger], settings: settings)
        }
    }

    private static func arrival(_ id: UInt64, _ dice: inout Dice) -> Schedule.Arrival {
        let shared = (0..<Int32(dice.below(5) * 6)).map { $0 * 3 }
        let own = (0..<1 + dice.below(30)).map { _ in Int32(dice.below(50)) }
        var arrival = Schedule.Arrival(id: id, prompt: shared + own, maxTokens: 1 + dice.below(24))
        arrival.client = ["a", "b", "c"][dice.below(3)]
        arrival.priority = GenerationRequest.Priority.allCases[dice.below(3)]
        if dice.chance(20) { arrival.mode = dice.chance(50) ? .aggregated : .disaggregated }
        return arrival
    }

    /// Requests that come while others run, some of which leave, until all have ended.
    private static func load(_ count: UInt64, _ seed: UInt64, _ play: inout ScheduleSimulation) {
        var dice = Dice(seed)
        for id in 1...count {
            play.arrive(arrival(id, &dice))
            for _ in 0..<dice.below(8) { play.advance() }
            if dice.chance(10) { play.cancel(UInt64(1 + dice.below(Int(id)))) }
        }
        play.runDry()
    }

    /// Errors that requests ended with, but for refusals that are due.
    private static func errors(_ play: ScheduleSimulation) -> [EngineError] {
        play.ended.values.compactMap { $0 }.filter { $0.kind != .busy && !$0.words.contains("never_fits") }
    }

    @Test("whatever arrives, leaves and fails, every request ends once, no block is leaked or written by two", arguments: Shape.allCases, [false, true])
    func random(shape: Shape, overcommits: Bool) {
        var (preempted, lost) = (0, 0)
        for seed in 0..<12 as Range<UInt64> {
            let failures = seed % 3 == 0 ? 0 : Int(seed)
            var play = ScheduleSimulation(
                Self.schedule(shape, blocks: 24 + Int(seed)) {
                    $0.overcommits = overcommits
                    $0.maxQueued = 20
                    $0.maxRunningPerClient = 3
                }, seed: seed)
            play.failures = failures
            Self.load(120, seed ^ 0xABCD, &play)
            #expect(play.wrongs.isEmpty, "seed \(seed): \(play.wrongs.prefix(3))")
            #expect(play.ended.count == 120, "seed \(seed): \(120 - play.ended.count) requests never ended")
            #expect(play.schedule.isIdle)
            #expect(play.largestQueue <= 20 + 12, "the queue is bounded, but for those that come back")
            for ledger in play.schedule.ledgers {
                #expect(ledger.heldCount == 0, "seed \(seed): \(ledger.heldCount) blocks are held by nobody")
                #expect(ledger.quarantinedCount == 0, "seed \(seed): \(ledger.quarantinedCount) blocks are out of use though all copies have ended")
            }
            if failures == 0 {
                let errors = Self.errors(play)
                #expect(errors.isEmpty, "seed \(seed): \(errors.first?.words ?? "")")
            }
            preempted += play.preempted
            lost += play.lostCount
        }
        if overcommits { #expect(preempted > 0, "blocks never ran out, so that nothing was tried") }
        if ![.together, .adopted, .twice, .overlapping].contains(shape) { #expect(lost > 0, "no handoff ended before its copies, so that nothing was tried") }
    }

    @Test("when devices are lost with their KV and opened anew, every request ends as if nothing had been, and none reads KV that was lost", arguments: Shape.allCases.filter { $0 != .adopted }, [false, true])
    func losses(shape: Shape, overcommits: Bool) {
        var preempted = 0
        for seed in 0..<12 as Range<UInt64> {
            var play = ScheduleSimulation(Self.schedule(shape, blocks: 30 + Int(seed)) { $0.overcommits = overcommits }, seed: seed)
            play.resets = 3 + Int(seed)
            Self.load(60, seed ^ 0x1234, &play)
            #expect(play.wrongs.isEmpty, "seed \(seed): \(play.wrongs.prefix(3))")
            #expect(play.ended.count == 60 && play.schedule.isIdle)
            for ledger in play.schedule.ledgers { #expect(ledger.heldCount == 0, "seed \(seed): \(ledger.heldCount) blocks are held by nobody") }
            let errors = Self.errors(play)
            #expect(errors.isEmpty, "seed \(seed): \(errors.first?.words ?? "")")
            preempted += play.preempted
        }
        #expect(preempted > 0, "nothing was lost, so that nothing was tried")
    }

    @Test("a device that is lost while KV goes to it is opened anew though it runs nothing: every request ends, and none that came to no harm fails", arguments: [Shape.apart, .twoToOne, .oneToTwo, .twoToTwo, .overlapping], [false, true])
    func vanishings(shape: Shape, recomputes: Bool) {
        var failed = 0
        for seed in 0..<16 as Range<UInt64> {
            var play = ScheduleSimulation(Self.schedule(shape, blocks: 30 + Int(seed)) { $0.recomputes = recomputes }, seed: seed)
            play.vanishings = 5 + Int(seed)
            play.resets = Int(seed % 3)
            Self.load(60, seed ^ 0x77, &play)
            (play.vanishings, play.resets) = (0, 0)
            let errors = Self.errors(play)
            if recomputes { #expect(errors.isEmpty, "seed \(seed): \(errors.first?.words ?? "")") }
            failed += errors.count
            for id in 61...62 as ClosedRange<UInt64> {
                var after = Schedule.Arrival(id: id, prompt: [1, 2, 3, 4, 5], maxTokens: 3)
                after.mode = id == 61 ? .disaggregated : .aggregated
                play.arrive(after)
                play.runDry()
                if case .some(.none) = play.ended[id] {} else { Issue.record("seed \(seed): \(id) was not served afterwards: \(String(describing: play.ended[id]))") }
            }
            #expect(play.wrongs.isEmpty, "seed \(seed): \(play.wrongs.prefix(3))")
            #expect(play.ended.count == 62 && play.schedule.isIdle)
            for ledger in play.schedule.ledgers { #expect(ledger.heldCount == 0, "seed \(seed): \(ledger.heldCount) blocks are held by nobody") }
        }
        if !recomputes { #expect(failed > 0, "nothing was lost, so that nothing was tried") }
    }

    @Test("within a client and priority the first to come is the first to run; an idle client does not wait behind a busy one")
    func fair() {
        var play = ScheduleSimulation(Self.schedule(.together, blocks: 100, sequences: 1), seed: 1)
        for id in 1...10 as ClosedRange<UInt64> {
            var arrival = Schedule.Arrival(id: id, prompt: [1, 2, 3, Int32(id)], maxTokens: 4)
            arrival.client = "busy"
            play.arrive(arrival)
        }
        var late = Schedule.Arrival(id: 11, prompt: [9, 9, 9, 9], maxTokens: 4)
        late.client = "idle"
        play.arrive(late)
        var urgent = Schedule.Arrival(id: 12, prompt: [8, 8, 8, 8], maxTokens: 4)
        urgent.client = "busy"
        urgent.priority = .priority
        play.arrive(urgent)
        play.runDry()
        #expect(play.order.filter { $0 <= 10 } == Array(1...10))
        #expect(play.order.firstIndex(of: 12).map { $0 <= 2 } == true, "the urgent one is next: \(play.order)")
        #expect(play.order.firstIndex(of: 11).map { $0 <= 4 } == true, "the idle client's turn comes soon: \(play.order)")
    }

    @Test("the cheapest priority is served in the end though urgent requests keep coming")
    func starvation() {
        var play = ScheduleSimulation(Self.schedule(.together, blocks: 100, sequences: 1), seed: 2)
        var next: UInt64 = 1
        func urgent(_ play: inout ScheduleSimulation) {
            var arrival = Schedule.Arrival(id: next, prompt: [1, 2, 3], maxTokens: 2)
            arrival.priority = .priority
            next += 1
            play.arrive(arrival)
        }
        for _ in 0..<4 { urgent(&play) }
        var flex = Schedule.Arrival(id: 1000, prompt: [5, 5, 5], maxTokens: 2)
        flex.priority = .flex
        play.arrive(flex)
        while play.ended[1000] == nil, next < 400 {
            play.advance()
            if play.schedule.queuedCount < 4 { urgent(&play) }
        }
        #expect(play.ended[1000] != nil, "\(next) urgent ones went by")
    }

    @Test("a full queue refuses with the kind `busy` and says when to ask again; one client's limit is its own")
    func bounded() {
        var play = ScheduleSimulation(
            Self.schedule(.together, sequences: 1) {
                $0.maxQueued = 3
                $0.maxQueuedPerClient = 2
            }, seed: 3)
        for id in 1...4 as ClosedRange<UInt64> {
            var arrival = Schedule.Arrival(id: id, prompt: [1, 2], maxTokens: 4)
            arrival.client = "a"
            play.arrive(arrival)
        }
        #expect(play.ended[4]??.kind == .busy)
        #expect(play.ended[4]??.retryAfter.map { $0 > 0 } == true)
        for id in 5...6 as ClosedRange<UInt64> {
            var arrival = Schedule.Arrival(id: id, prompt: [1, 2], maxTokens: 4)
            arrival.client = "b"
            play.arrive(arrival)
        }
        #expect(play.ended[5] == nil)
        #expect(play.ended[6]??.kind == .busy, "the queue as a whole is full")
        play.runDry()
        #expect(play.wrongs.isEmpty)
    }

    @Test("running streams get a token in every batch while a long prompt is prefilled in chunks beside them")
    func mixed() {
        var play = ScheduleSimulation(Self.schedule(.together, blocks: 200, chunk: 64), seed: 4)
        play.arrive(.init(id: 1, prompt: [1, 2, 3], maxTokens: 60))
        for _ in 0..<3 { play.advance() }
        play.arrive(.init(id: 2, prompt: (0..<200).map { Int32($0 % 17) + 100 }, maxTokens: 2))
        let before = play.made[1]?.count ?? 0
        var steps = 0
        while play.made[2]?.isEmpty == true, steps < 100 {
            play.advance()
            steps += 1
        }
        #expect(steps >= 200 / 8 && steps <= 200 / 8 + 2, "\(steps) batches of 8 prompt tokens")
        #expect((play.made[1]?.count ?? 0) - before == steps, "the stream had a token in each")
    }

    @Test("a request that needs more KV than there is is refused, and so is one that requires what the manifest does not have")
    func never() {
        var play = ScheduleSimulation(Self.schedule(.together, blocks: 4), seed: 5)
        play.arrive(.init(id: 1, prompt: [1, 2, 3], maxTokens: 14))
        #expect(play.ended[1]??.words.hasPrefix("never_fits") == true)
        var apart = Schedule.Arrival(id: 2, prompt: [1], maxTokens: 1)
        apart.requiresDisaggregated = true
        play.arrive(apart)
        #expect(play.ended[2]??.kind == .usage)
    }

    @Test("while the only prefill device rests after a failure, what requires the disaggregated way is told when to ask again, and is served then")
    func rests() {
        var play = ScheduleSimulation(Self.schedule(.apart), seed: 9)
        func strict(_ id: UInt64) {
            var arrival = Schedule.Arrival(id: id, prompt: [1, 2, Int32(id)], maxTokens: 2)
            arrival.requiresDisaggregated = true
            play.arrive(arrival)
        }
        play.failures = 100
        strict(1)
        play.advance()
        play.failures = 0
        #expect(play.ended[1]??.kind == .driver, "it was running, and ends with what the device said")
        strict(2)
        #expect(play.ended[2]??.kind == .unavailable)
        let seconds = play.ended[2]??.retryAfter ?? 0
        #expect(seconds > 0 && seconds <= 20e-6)
        for _ in 0..<20 { play.step(.tick) }
        strict(3)
        play.runDry()
        #expect(play.routes[3]?.route == .disaggregated && play.wrongs.isEmpty)
        if case .some(.none) = play.ended[3] {} else { Issue.record("it was not served: \(String(describing: play.ended[3]))") }
    }

    @Test("draining refuses what is new and finishes what is there")
    func drain() {
        var play = ScheduleSimulation(Self.schedule(.apart), seed: 6)
        for id in 1...6 as ClosedRange<UInt64> { play.arrive(.init(id: id, prompt: [1, 2, 3, 4, 5], maxTokens: 5)) }
        play.step(.drain)
        play.arrive(.init(id: 7, prompt: [1], maxTokens: 1))
        #expect(play.ended[7]??.kind == .busy)
        play.runDry()
        #expect(play.wrongs.isEmpty)
        #expect((1...6 as ClosedRange<UInt64>).allSatisfy { id in if case .some(.none) = play.ended[id] { true } else { false } })
    }
}
