@testable import Engine

/// Splitmix64.
struct Dice {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(max(1, bound))) }
    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
}

/// Plays devices to a schedule: what it says is run takes time, ends in any order, and sometimes fails.
struct ScheduleSimulation {
    var schedule: Schedule
    var dice: Dice
    var now: UInt64 = 0
    /// Percent of batches and handoffs that fail.
    var failures = 0
    /// Percent of batches whose device is lost with all its KV, and opened anew.
    var resets = 0
    /// Percent of handoffs during which the device they go to is lost, unnoticed by itself.
    var vanishings = 0
    private var gone: Set<Int> = []
    private var reopening: [Int] = []
    /// How often each ledger's device was opened anew, and in which of its lives each block was last written.
    private var lives: [Int] = []
    private var written: [[UInt32: Int]] = []
    /// Of a handoff on its way: the decode side's ledger, its blocks, and its life when it began.
    private var carried: [Schedule.ID: (ledger: Int, blocks: ArraySlice<UInt32>, life: Int)] = [:]
    private var running: [Schedule.BatchPlan] = []
    private var closing: [(Schedule.ID, Int)] = []
    private var handing: [Schedule.ID] = []
    /// Handoffs that are over and whose copies are not: the request, and the stage they came from.
    private var lost: [(id: Schedule.ID, stage: Int)] = []
    private(set) var lostCount = 0
    private(set) var ended: [Schedule.ID: EngineError?] = [:]
    private(set) var order: [Schedule.ID] = []
    private(set) var made: [Schedule.ID: [Int32]] = [:]
    private(set) var routes: [Schedule.ID: Schedule.Admission] = [:]
    private(set) var preempted = 0
    private(set) var recomputed = 0
    private(set) var largestQueue = 0
    private(set) var wrongs: [String] = []
    private var wanted: [Schedule.ID: Schedule.Arrival] = [:]
    private var cancelled: Set<Schedule.ID> = []
    /// Whose last token prefill made, and its KV has not arrived.
    private var tentative: Set<Schedule.ID> = []

    init(_ schedule: Schedule, seed: UInt64) {
        self.schedule = schedule
        dice = Dice(seed)
        lives = schedule.ledgers.map { _ in 0 }
        written = schedule.ledgers.map { _ in [:] }
    }

    var isIdle: Bool { running.isEmpty && closing.isEmpty && handing.isEmpty && reopening.isEmpty && lost.isEmpty }

    /// What a request's stream is when nothing disturbs it: each token a function of all before it.
    static func stream(_ arrival: Schedule.Arrival) -> [Int32] {
        var tokens = arrival.prompt
        for _ in 0..<max(1, arrival.maxTokens) { tokens.append(token(after: tokens)) }
        return Array(tokens.dropFirst(arrival.prompt.count))
    }

    private static func token(after tokens: [Int32]) -> Int32 {
        var hash: UInt64 = 7
        for token in tokens { hash = (hash ^ UInt64(UInt32(bitPattern: token))) &* 0x1000_0000_01B3 }
        return Int32(hash >> 40 & 0xFFFF)
    }

    mutating func arrive(_ arrival: Schedule.Arrival) {
        wanted[arrival.id] = arrival
        made[arrival.id] = []
        step(.arrived(arrival))
    }

    mutating func cancel(_ id: Schedule.ID) {
        cancelled.insert(id)
        step(.cancelled(id))
    }

    mutating func step(_ event: Schedule.Event) {
        now += 1000
        for action in schedule.step(event, now: now) { take(action) }
        largestQueue = max(largestQueue, schedule.queuedCount)
        check()
    }

    /// One thing that is under way ends.
    mutating func advance() {
        let choices = running.count + closing.count + handing.count + reopening.count + lost.count
        guard choices > 0 else { return step(.tick) }
        var pick = dice.below(choices)
        if pick < lost.count { return recover(lost.remove(at: pick)) }
        pick -= lost.count
        if pick < running.count { return end(running.remove(at: pick)) }
        pick -= running.count
        if pick < closing.count {
            let (id, _) = closing.remove(at: pick)
            return step(.handoffClosed(id, lost: loses(id, failures)))
        }
        pick -= closing.count
        if pick >= handing.count { return open(reopening.remove(at: pick - handing.count)) }
        let id = handing.remove(at: pick)
        if let routed = routes[id], vanishes(routed.pair) { return step(.handoffFailed(id, EngineError(.handoff, "nobody took it"), lost: false)) }
        if dice.chance(failures) { return step(.handoffFailed(id, EngineError(.handoff, "lost"), lost: loses(id, 40))) }
        tentative.remove(id)
        if let carry = carried.removeValue(forKey: id) { for block in carry.blocks { written[carry.ledger][block] = carry.life } }
        step(.handedOver(id, exposed: 10))
    }

    /// Whether the handoff of a request ends before its copies do.
    private mutating func loses(_ id: Schedule.ID, _ percent: Int) -> Bool {
        guard dice.chance(percent), let sequence = schedule.sequences[id] else { return false }
        lost.append((id, schedule.pairs[sequence.pair].prefill))
        lostCount += 1
        return true
    }

    /// The copies of one handoff have ended, and they may have been the last of its request's.
    private mutating func recover(_ one: (id: Schedule.ID, stage: Int)) {
        guard !lost.contains(where: { $0 == one }) else { return }
        step(.copiesEnded(one.id, stage: one.stage))
    }

    mutating func runDry(_ limit: Int = 200_000) {
        var left = limit
        while !isIdle, left > 0 {
            advance()
            left -= 1
        }
        if left == 0 { wrongs.append("it never ends") }
    }

    private mutating func end(_ plan: Schedule.BatchPlan) {
        if dice.chance(failures) {
            return step(.batchFailed(stage: plan.stage, EngineError(.driver, "the device is gone"), lost: []))
        }
        if gone.contains(plan.stage) || resets > 0 && dice.chance(resets) { return reset(plan.stage) }
        var outcomes: [Schedule.Outcome] = []
        for item in plan.items {
            let ledger = schedule.stages[plan.stage].ledger
            for block in blocks(item.table, item.start..<item.start + item.tokens.count, ledger) { written[ledger][block] = lives[ledger] }
            var kind = Schedule.Outcome.Kind.computed
            if let carry = item.carry, vanishes(carry.pair) {
                outcomes.append(.init(item.id, .handoffFailed(EngineError(.handoff, "nobody took it"), lost: false)))
                continue
            }
            if item.wantsToken { kind = sample(item) }
            outcomes.append(.init(item.id, kind))
            if item.carry?.isLast == true { handing.append(item.id) }
        }
        step(.batchDone(stage: plan.stage, outcomes))
    }

    /// The batch that runs on the stage fails, once there is one.
    mutating func fail(stage: Int) {
        for _ in 0..<1000 {
            if let index = running.firstIndex(where: { $0.stage == stage }) {
                running.remove(at: index)
                return step(.batchFailed(stage: stage, EngineError(.driver, "the device is gone"), lost: []))
            }
            advance()
        }
        wrongs.append("stage \(stage) never runs a batch")
    }

    /// The blocks that hold these tokens.
    private func blocks(_ table: [UInt32], _ tokens: Range<Int>, _ ledger: Int) -> ArraySlice<UInt32> {
        let size = schedule.ledgers[ledger].blockTokens
        return table[tokens.lowerBound / size..<(tokens.upperBound + size - 1) / size]
    }

    /// Whether the device where a pair decodes is found gone as KV comes.
    private mutating func vanishes(_ pair: Int) -> Bool {
        let stage = schedule.pairs[pair].decode
        if vanishings > 0, dice.chance(vanishings) { gone.insert(stage) }
        guard gone.contains(stage) else { return false }
        step(.stageLost(stage: stage))
        return true
    }

    private mutating func open(_ stage: Int) {
        if running.contains(where: { $0.stage == stage }) { wrongs.append("stage \(stage) is opened anew while it runs a batch") }
        if gone.contains(stage) { reset(stage) } else { step(.stageSeen(stage: stage)) }
    }

    private mutating func reset(_ stage: Int) {
        gone.remove(stage)
        lives[schedule.stages[stage].ledger] += 1
        step(.stageReset(stage: stage, EngineError(.driver, "the device's process has ended"), lost: []))
    }

    /// What a batch reads is there, and handoffs are seen to begin.
    private mutating func begin(_ plan: Schedule.BatchPlan) {
        let ledger = schedule.stages[plan.stage].ledger
        for item in plan.items {
            if blocks(item.table, 0..<item.start, ledger).contains(where: { written[ledger][$0] != lives[ledger] }) {
                wrongs.append("request \(item.id) reads KV that was lost with its device")
            }
            guard let carry = item.carry, let arrival = wanted[item.id] else { continue }
            let there = schedule.stages[schedule.pairs[carry.pair].decode].ledger
            let life = carry.isFirst ? lives[there] : carried[item.id]?.life ?? lives[there]
            carried[item.id] = (there, blocks(carry.decodeTable, carry.from..<max(carry.from, arrival.prompt.count), there), life)
        }
    }

    private mutating func sample(_ item: Schedule.BatchPlan.Item) -> Schedule.Outcome.Kind {
        guard let arrival = wanted[item.id], let so = made[item.id] else { return .computed }
        let all = arrival.prompt + so
        if item.start + item.tokens.count != all.count || item.tokens != Array(all[item.start...]) {
            wrongs.append("request \(item.id): the batch holds \(item.start)+\(item.tokens.count) of \(all.count) tokens")
        }
        let token = Self.token(after: all)
        made[item.id]?.append(token)
        if item.carry != nil { tentative.insert(item.id) }
        return so.count + 1 >= arrival.maxTokens ? .ended : .token(token)
    }

    private mutating func take(_ action: Schedule.Action) {
        switch action {
        case .admitted(let id, let admission):
            if routes[id] == nil { order.append(id) }
            routes[id] = admission
        case .run(let plan):
            if running.contains(where: { $0.stage == plan.stage }) { wrongs.append("stage \(plan.stage) runs two batches") }
            if plan.tokenCount > schedule.stages[plan.stage].maxTokens || plan.items.count > schedule.stages[plan.stage].maxSequences {
                wrongs.append("a batch of \(plan.tokenCount) tokens in \(plan.items.count) sequences is too large")
            }
            begin(plan)
            running.append(plan)
        case .closeHandoff(let id, let stage): closing.append((id, stage))
        case .reopen(let stage): reopening.append(stage)
        case .preempted: preempted += 1
        case .recomputed(let id, _):
            recomputed += 1
            handing.removeAll { $0 == id }
            if tentative.remove(id) != nil { made[id]?.removeLast() }
        case .ended(let id, let error):
            if ended[id] != nil { wrongs.append("request \(id) ended twice") }
            ended[id] = error
            let whole = made[id].map { $0.count } ?? 0
            if error == nil, !cancelled.contains(id), let arrival = wanted[id], Self.stream(arrival) != made[id] {
                wrongs.append("request \(id) ended after \(whole) of \(arrival.maxTokens) tokens")
            }
        }
    }

    /// No block is leaked or owned by two that write to it.
    private mutating func check() {
        var holders = schedule.ledgers.map { [Int](repeating: 0, count: $0.blockCount) }
        for sequence in schedule.sequences.values where sequence.phase != .waiting {
            let pair = schedule.pairs[sequence.pair]
            for block in sequence.here.table { holders[schedule.stages[pair.prefill].ledger][Int(block)] += 1 }
            for block in sequence.there.table { holders[schedule.stages[pair.decode].ledger][Int(block)] += 1 }
        }
        for (index, ledger) in schedule.ledgers.enumerated() {
            if !ledger.isSound { wrongs.append("ledger \(index) is not sound") }
            if ledger.quarantinedCount == 0, ledger.holders != holders[index] { wrongs.append("ledger \(index) counts other holders than there are") }
        }
        for plan in running { check(plan) }
    }

    private mutating func check(_ plan: Schedule.BatchPlan) {
        let ledger = schedule.ledgers[schedule.stages[plan.stage].ledger]
        for item in plan.items {
            let size = ledger.blockTokens
            for block in Set((item.start..<item.start + item.tokens.count).map { item.table[$0 / size] }) where ledger.holders[Int(block)] > 1 {
                wrongs.append("request \(item.id) writes to block \(block), which others hold")
            }
            let writes = Set(blocks(item.table, item.start..<item.start + item.tokens.count, schedule.stages[plan.stage].ledger))
            for one in schedule.quarantined where one.id != item.id && one.ledger == schedule.stages[plan.stage].ledger && !writes.isDisjoint(with: one.blocks) {
                wrongs.append("request \(item.id) writes to blocks that copies of request \(one.id) may still touch")
            }
        }
    }
}
