import Driver
@testable import Engine
import Testing

/// Several devices for a stage: which one a request goes to, and what becomes of it when that one fails.
struct ScheduleReplicaTests {
    private static func play(_ shape: ScheduleTests.Shape, blocks: Int = 400, sequences: Int = 8, seed: UInt64 = 1) -> ScheduleSimulation {
        ScheduleSimulation(ScheduleTests.schedule(shape, blocks: blocks, sequences: sequences), seed: seed)
    }

    private static func arrival(_ id: UInt64, _ prompt: [Int32]? = nil, maxTokens: Int = 4, mode: Route.Mode = .disaggregated) -> Schedule.Arrival {
        var arrival = Schedule.Arrival(id: id, prompt: prompt ?? (0..<20).map { Int32(id) * 100 + $0 }, maxTokens: maxTokens)
        arrival.mode = mode
        return arrival
    }

    private static func isServed(_ play: ScheduleSimulation, _ id: UInt64) -> Bool { if case .some(.none) = play.ended[id] { true } else { false } }

    @Test("requests that are alike are spread evenly over the devices", arguments: [ScheduleTests.Shape.twoToOne, .oneToTwo, .twoToTwo])
    func spread(shape: ScheduleTests.Shape) {
        var play = Self.play(shape)
        for id in 1...8 as ClosedRange<UInt64> { play.arrive(Self.arrival(id)) }
        let pairs = (1...8).compactMap { play.routes[$0].map { play.schedule.pairs[$0.pair] } }
        #expect(pairs.count == 8)
        for part in [\Schedule.Pair.prefill, \.decode] {
            let counts = Dictionary(grouping: pairs, by: { $0[keyPath: part] }).mapValues(\.count)
            #expect(Set(counts.values).count == 1, "\(counts)")
        }
        play.runDry()
        #expect(play.wrongs.isEmpty && (1...8).allSatisfy { Self.isServed(play, $0) })
        #expect(play.schedule.routed.filter { $0.route == .disaggregated }.map(\.count).reduce(0, +) == 8)
    }

    @Test("a request goes where it has room, though the other device is less busy")
    func room() {
        var play = Self.play(.oneToTwo, blocks: 24)
        play.arrive(Self.arrival(1, maxTokens: 60))
        let first = play.schedule.pairs[play.routes[1]?.pair ?? 0].decode
        for id in 2...3 as ClosedRange<UInt64> { play.arrive(Self.arrival(id, maxTokens: 8)) }
        #expect([2, 3].allSatisfy { id in play.routes[id].map { play.schedule.pairs[$0.pair].decode != first } ?? false })
        play.arrive(Self.arrival(4, [1, 2], maxTokens: 2))
        #expect(play.routes[4] != nil)
    }

    @Test("a request that fits only one of two devices waits for that one and is not refused")
    func larger() {
        func stage(_ name: String, _ ledger: Int) -> Schedule.Stage { .init(name: name, devices: name, ledger: ledger, maxTokens: 16, maxSequences: 4) }
        let schedule = Schedule(
            stages: [stage("small", 0), stage("large", 1)], pairs: [.init(prefill: 0, decode: 0), .init(prefill: 1, decode: 1)],
            ledgers: [BlockLedger(blockCount: 8, blockTokens: 4), BlockLedger(blockCount: 40, blockTokens: 4)])
        var play = ScheduleSimulation(schedule, seed: 3)
        for id in 1...3 as ClosedRange<UInt64> { play.arrive(Self.arrival(id, maxTokens: 100)) }
        play.runDry()
        #expect((1...3).allSatisfy { Self.isServed(play, $0) && play.routes[$0]?.pair == 1 })
        #expect(play.routes[1]?.reason.hasSuffix("; prefill and decode on large") == true)
        play.arrive(Self.arrival(4, maxTokens: 200))
        #expect(play.ended[4]??.words.hasPrefix("never_fits") == true)
    }

    @Test("of devices whose times are within a fifth the one with fewer requests is taken, else the quicker")
    func times() {
        func prefill(_ nanoseconds: UInt64, _ ledger: Int) -> Schedule.Stage {
            .init(
                name: "prefill", ledger: ledger, maxTokens: 16, maxSequences: 8,
                prefillCost: CostCurve(clock: .modelled, points: [(1, nanoseconds), (1000, nanoseconds)]))
        }
        func ways(_ first: UInt64, _ second: UInt64) -> [Int] {
            let ledger = BlockLedger(blockCount: 400, blockTokens: 4)
            let decode = Schedule.Stage(name: "decode", ledger: 2, maxTokens: 16, maxSequences: 8)
            let moving = CostCurve(clock: .modelled, points: [(1, 10), (1000, 10)])
            let schedule = Schedule(
                stages: [prefill(first, 0), prefill(second, 1), decode],
                pairs: [0, 1].map { .init(prefill: $0, decode: 2, importCost: moving) }, ledgers: [ledger, ledger, ledger])
            var play = ScheduleSimulation(schedule, seed: 4)
            for id in 1...2 as ClosedRange<UInt64> { play.arrive(Self.arrival(id, [Int32(id)])) }
            return (1...2).compactMap { play.routes[$0]?.pair }
        }
        #expect(ways(1000, 1100) == [0, 1])
        #expect(ways(1100, 1000) == [1, 0])
        #expect(ways(1000, 10_000) == [0, 0])
    }

    @Test("a prefix that one prefill device made and handed over is found by requests of another that makes the same values, and by no other", arguments: [true, false])
    func prefixes(alike: Bool) {
        let ledger = BlockLedger(blockCount: 100, blockTokens: 4)
        func stage(_ number: Int) -> Schedule.Stage { .init(name: "\(number)", devices: "\(number)", ledger: number, maxTokens: 64, maxSequences: 1) }
        let schedule = Schedule(
            stages: (0..<3).map(stage),
            pairs: [0, 1].map { .init(prefill: $0, decode: 2, tokenStep: 4, isUniform: false, arithmetic: alike ? 0 : nil) },
            ledgers: [ledger, ledger, ledger])
        var play = ScheduleSimulation(schedule, seed: 5)
        let prompt = (0..<32).map { Int32($0) }
        play.arrive(Self.arrival(1, prompt))
        play.runDry()
        #expect(play.routes[1]?.pair == 0)
        // The device that made it fails, so that the other has to prefill.
        play.failures = 100
        play.arrive(Self.arrival(2, [7, 7, 7]))
        play.advance()
        play.failures = 0
        play.runDry()
        play.arrive(Self.arrival(3, prompt + [99]))
        #expect(play.routes[3]?.pair == 1 && play.schedule.sequences[3]?.cachedThere == (alike ? 32 : 0))
        play.runDry()
        #expect(play.wrongs.isEmpty && Self.isServed(play, 3))
    }

    @Test("when a prefill device fails, its requests are prefilled by the other, though they require the disaggregated way")
    func prefillFails() {
        var play = Self.play(.twoToOne)
        for id in 1...4 as ClosedRange<UInt64> {
            var arrival = Self.arrival(id)
            arrival.requiresDisaggregated = true
            play.arrive(arrival)
        }
        let before = play.routes
        play.fail(stage: 0)
        let moved = (1...4).filter { play.routes[$0]?.pair != before[$0]?.pair }
        #expect(!moved.isEmpty && moved.allSatisfy { before[$0]?.pair == 0 && play.routes[$0]?.pair == 1 })
        play.runDry()
        #expect(play.recomputed == moved.count && play.wrongs.isEmpty)
        #expect((1...4).allSatisfy { Self.isServed(play, $0) && play.routes[$0]?.route == .disaggregated })
    }

    @Test("when a decode device fails, its streams go on at the other with all that they had made", arguments: [ScheduleTests.Shape.oneToTwo, .twice])
    func decodeFails(shape: ScheduleTests.Shape) {
        var play = Self.play(shape)
        for id in 1...4 as ClosedRange<UInt64> { play.arrive(Self.arrival(id, maxTokens: 40, mode: .auto)) }
        while !(1...4).allSatisfy({ (play.made[$0]?.count ?? 0) > 3 }) { play.advance() }
        let made = play.made
        let stage = play.schedule.pairs[play.routes[1]?.pair ?? 0].decode
        play.fail(stage: stage)
        play.arrive(Self.arrival(5, mode: .auto))
        #expect(play.routes[5].map { play.schedule.pairs[$0.pair].decode != stage } == true, "it is not sent to a device that has just failed")
        play.runDry()
        #expect(play.preempted > 0 && play.wrongs.isEmpty)
        for id in 1...4 as ClosedRange<UInt64> {
            #expect(Self.isServed(play, id) && play.made[id]?.starts(with: made[id] ?? []) == true)
        }
    }

    @Test("a request that every device fails on ends with what a device said")
    func failsEverywhere() {
        for shape in [ScheduleTests.Shape.twoToOne, .oneToTwo, .twoToTwo, .twice, .overlapping] {
            var play = Self.play(shape)
            play.failures = 100
            play.arrive(Self.arrival(1))
            play.runDry(200)
            #expect(play.ended[1]??.kind == .driver, "\(shape): \(String(describing: play.ended[1]))")
            #expect(play.wrongs.isEmpty && play.schedule.isIdle)
        }
    }

    @Test("while every decode device rests after failures, requests are tried and not held back")
    func allRest() {
        var play = Self.play(.twice)
        play.failures = 100
        play.arrive(Self.arrival(1))
        play.runDry(200)
        play.failures = 0
        play.arrive(Self.arrival(2))
        play.runDry()
        #expect(Self.isServed(play, 2))
    }
}
