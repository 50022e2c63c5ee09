import Driver
@testable import Engine
import Testing

/// Which way a request goes, and why.
struct RouterTests {
    private static func way(_ sum: UInt64, _ clock: Driver.Clock = .modelled, needed: Int = 4, free: Int = 100, uncached: Int = 64) -> Router.Way {
        Router.Way(
            uncachedTokens: uncached, neededBlocks: needed, freeBlocks: free,
            cost: .init(clock: clock, wait: 0, prefill: sum, handoff: 0, taken: 0))
    }

    private static func route(_ apart: Router.Way?, _ together: Router.Way?, last: Route? = nil, mode: Route.Mode = .auto) throws -> Route {
        try Router.decide(.init(mode: mode, disaggregated: apart, aggregated: together, last: last)).route
    }

    @Test("the quicker way is taken, and the reason names both")
    func quicker() throws {
        #expect(try Self.route(Self.way(100), Self.way(200)) == .disaggregated)
        let answer = try Router.decide(.init(mode: .auto, disaggregated: Self.way(300_000), aggregated: Self.way(200_000)))
        #expect(answer.route == .aggregated)
        #expect(answer.reason.contains("300.0 us") && answer.reason.contains("200.0 us") && answer.reason.contains("modelled"))
        #expect(!answer.reason.contains("\n"))
    }

    @Test("a way is left only for one that is a fifth better")
    func hysteresis() throws {
        #expect(try Self.route(Self.way(110), Self.way(100), last: .disaggregated) == .disaggregated)
        #expect(try Self.route(Self.way(121), Self.way(100), last: .disaggregated) == .aggregated)
        #expect(try Self.route(Self.way(100), Self.way(119), last: .aggregated) == .aggregated)
        #expect(try Self.route(Self.way(100), Self.way(125), last: .aggregated) == .disaggregated)
        var changes = 0
        var last: Route?
        for sum in [100, 104, 98, 103, 99, 105, 97] as [UInt64] {
            let next = try Self.route(Self.way(sum), Self.way(101), last: last)
            changes += last != nil && last != next ? 1 : 0
            last = next
        }
        #expect(changes == 0)
    }

    @Test("a way without room for the request is not taken while the other has room")
    func room() throws {
        #expect(try Self.route(Self.way(1, needed: 9, free: 8), Self.way(1000)) == .aggregated)
        #expect(try Self.route(Self.way(1000), Self.way(1, needed: 9, free: 8), last: .aggregated) == .disaggregated)
    }

    @Test("times of different clocks are not compared")
    func clocks() throws {
        #expect(try Self.route(Self.way(1000, .wall), Self.way(1, .modelled)) == .disaggregated)
    }

    @Test("what is asked for is done; what is required and is not there is an error")
    func modes() throws {
        #expect(try Self.route(Self.way(1), Self.way(1000), mode: .aggregated) == .aggregated)
        #expect(try Self.route(Self.way(1000), Self.way(1), mode: .disaggregated) == .disaggregated)
        #expect(try Self.route(nil, Self.way(1), mode: .disaggregated) == .aggregated)
        #expect(throws: EngineError.self) { try Router.decide(.init(mode: .auto, requiresDisaggregated: true, aggregated: Self.way(1))) }
        #expect(try Router.decide(.init(mode: .aggregated, requiresDisaggregated: true, disaggregated: Self.way(9), aggregated: Self.way(1))).route == .disaggregated)
    }

    @Test("a cost curve passes through its points and goes on from the last")
    func curve() {
        let curve = CostCurve(clock: .wall, points: [(1, 100), (16, 100), (32, 200), (64, 600)])
        #expect(curve.at(0) == 0 && curve.at(1) == 100 && curve.at(24) == 150 && curve.at(64) == 600 && curve.at(128) == 1200)
        #expect(CostCurve.grid(100) == [1, 16, 32, 64, 100])
    }

    private static func routed(backlog: Int, streams: Int) -> Schedule.Admission? {
        let slow = CostCurve(clock: .modelled, points: [(1, 1000), (100, 10_000)])
        let quick = CostCurve(clock: .modelled, points: [(1, 900), (100, 9000)])
        let moving = CostCurve(clock: .modelled, points: [(1, 10), (100, 1200)])
        func stage(_ name: String, _ ledger: Int, _ curve: CostCurve) -> Schedule.Stage {
            .init(name: name, ledger: ledger, maxTokens: 64, maxSequences: 16, prefillCost: curve)
        }
        let ledger = BlockLedger(blockCount: 1000, blockTokens: 4)
        let schedule = Schedule(
            stages: [stage("prefill", 0, slow), stage("decode", 1, quick)], pairs: [.init(prefill: 0, decode: 1, isUniform: false, importCost: moving)],
            ledgers: [ledger, ledger])
        var play = ScheduleSimulation(schedule, seed: 1)
        for id in 0..<UInt64(streams) {
            var arrival = Schedule.Arrival(id: 100 + id, prompt: [1, 2, 3, Int32(id)], maxTokens: 50)
            arrival.mode = .aggregated
            play.arrive(arrival)
            for _ in 0..<4 { play.advance() }
        }
        for id in 0..<UInt64(backlog) {
            var arrival = Schedule.Arrival(id: 200 + id, prompt: (0..<90).map { $0 + 7 * Int32(id) + 1000 }, maxTokens: 4)
            arrival.mode = .disaggregated
            play.arrive(arrival)
        }
        play.arrive(.init(id: 1, prompt: (0..<80).map { $0 + 5000 }, maxTokens: 4))
        return play.routes[1]
    }

    @Test("an idle decode device prefills what is quicker there; with streams running, the prefill device does")
    func streams() {
        #expect(Self.routed(backlog: 0, streams: 0)?.route == .aggregated)
        let busy = Self.routed(backlog: 0, streams: 2)
        #expect(busy?.route == .disaggregated || busy?.reason.contains("kept") == true, "\(busy?.reason ?? "")")
        #expect(Self.routed(backlog: 3, streams: 0)?.route == .aggregated, "the prefill device has a queue")
    }

    @Test("what one pair's requests did holds no other pair's to it")
    func pairs() {
        func stage(_ name: String, _ ledger: Int, _ nanoseconds: UInt64) -> Schedule.Stage {
            .init(name: name, ledger: ledger, maxTokens: 64, maxSequences: 16, prefillCost: CostCurve(clock: .modelled, points: [(1, nanoseconds), (64, nanoseconds)]))
        }
        let moving = CostCurve(clock: .modelled, points: [(1, 10), (64, 10)])
        let ledger = BlockLedger(blockCount: 100, blockTokens: 4)
        let schedule = Schedule(
            stages: [stage("quick", 0, 5000), stage("decode", 1, 10_000), stage("slow", 2, 10_500)],
            pairs: [.init(prefill: 0, decode: 1, isUniform: false, importCost: moving), .init(prefill: 2, decode: 1, isUniform: false, importCost: moving)],
            ledgers: [ledger, ledger, ledger])
        var play = ScheduleSimulation(schedule, seed: 3)
        func route(_ id: UInt64) -> Schedule.Admission? {
            play.arrive(.init(id: id, prompt: (0..<20).map { $0 + 100 * Int32(id) }, maxTokens: 2))
            play.runDry()
            return play.routes[id]
        }
        #expect(route(1)?.route == .disaggregated && play.schedule.lastRoutes == [.disaggregated, nil])
        play.schedule.failedUntil[0] = .max
        let second = route(2)
        #expect(second?.route == .aggregated, "\(second?.reason ?? "")")
        #expect(play.schedule.lastRoutes == [.disaggregated, .aggregated])
    }
}
