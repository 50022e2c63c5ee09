import Driver
import Testing

struct RestartMachineTests {
    private static let second: UInt64 = 1_000_000_000

    @Test("a child that never ended may start at once")
    func first() { #expect(RestartMachine(RestartPolicy()).decision == .start(at: 0)) }

    @Test("pauses double from one end to the next, up to the longest")
    func pauses() {
        var policy = RestartPolicy(budget: 100)
        (policy.firstPause, policy.longestPause) = (100, 450)
        var machine = RestartMachine(policy)
        let starts = (0..<5).map { machine.ended(now: 1_000 + UInt64($0)) }
        #expect(starts == [.start(at: 1_100), .start(at: 1_201), .start(at: 1_402), .start(at: 1_453), .start(at: 1_454)])
    }

    @Test("one end more than the budget within the window and it stays down, also later", arguments: 0...4)
    func budget(_ budget: Int) {
        var machine = RestartMachine(RestartPolicy(budget: budget))
        for end in 0..<budget { #expect(machine.ended(now: UInt64(end) * Self.second) != .stayDown(ends: end + 1)) }
        #expect(machine.ended(now: UInt64(budget) * Self.second) == .stayDown(ends: budget + 1))
        #expect(machine.isDown)
        guard case .stayDown = machine.ended(now: 10_000 * Self.second) else { return #expect(Bool(false), "it came up again") }
    }

    @Test("ends that lie before the window do not count")
    func window() {
        var machine = RestartMachine(RestartPolicy(budget: 1))
        for end in 0..<20 { #expect(machine.ended(now: UInt64(end) * 61 * Self.second) == .start(at: UInt64(end) * 61 * Self.second + 100_000_000)) }
    }

    @Test("no sequence of ends overflows or starts before the end it follows")
    func anyEnds() {
        var dice = Dice(5)
        for _ in 0..<200 {
            var policy = RestartPolicy(budget: Int(dice.next() % 6))
            (policy.firstPause, policy.longestPause, policy.window) = (dice.next() >> (dice.next() % 64), dice.next() >> (dice.next() % 64), dice.next() >> (dice.next() % 64))
            var machine = RestartMachine(policy)
            var now: UInt64 = 0
            for _ in 0..<20 {
                now += dice.next() >> 34
                if case .start(let at) = machine.ended(now: now) { #expect(at &- now <= policy.longestPause) }
            }
        }
    }
}
