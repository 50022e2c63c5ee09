import Testing

@testable import LoadGenerator

/// When requests go out, played through without a clock.
struct LoadMachineTests {
    /// Plays a load against a server that takes `service` nanoseconds for each request and has no limit. Gives intended and real times of sending.
    private func play(_ pattern: LoadPattern, _ bounds: LoadMachine.Bounds, service: UInt64, wakesLate: UInt64 = 0) -> [(intended: UInt64, sent: UInt64)] {
        var machine = LoadMachine(pattern, bounds: bounds, seed: 7)
        var pending: [(time: UInt64, event: LoadMachine.Event)] = [(0, .started)]
        var sent: [(UInt64, UInt64)] = []
        var finishes = 0
        while !pending.isEmpty {
            pending.sort { $0.time < $1.time }
            let (now, event) = pending.removeFirst()
            for action in machine.step(event, now: now) {
                switch action {
                case .send(_, let intended):
                    sent.append((intended, now))
                    pending.append((now + service, .ended))
                case .leaveOut(_, let intended): sent.append((intended, .max))
                case .wake(let time): pending.append((max(now, time) + wakesLate, .woke))
                case .finish: finishes += 1
                }
            }
        }
        #expect(finishes == 1 && machine.isFinished && machine.inFlight == 0)
        return sent
    }

    @Test("a closed load holds its clients busy and sends no more than it may", arguments: [1, 3, 16])
    func closed(clients: Int) {
        let sent = play(.closed(clients: clients), .init(requests: 40, inFlight: 64), service: 10)
        #expect(sent.count == 40)
        for (index, one) in sent.enumerated() { #expect(one.sent == UInt64(index / clients) * 10) }
    }

    @Test("a closed load ends after its time")
    func closedTime() {
        let sent = play(.closed(clients: 2), .init(requests: 1_000, duration: 95, inFlight: 64), service: 10)
        #expect(sent.count == 20 && sent.allSatisfy { $0.sent < 95 })
    }

    @Test("an open load is not held back by a slow server, and its requests keep the times at which they were to go out")
    func open() {
        let fast = play(.poisson(rate: 100), .init(requests: 500, inFlight: 500), service: 1)
        let slow = play(.poisson(rate: 100), .init(requests: 500, inFlight: 500), service: 3_600_000_000_000)
        #expect(fast.map(\.intended) == slow.map(\.intended) && slow.allSatisfy { $0.sent == $0.intended })
        let late = play(.poisson(rate: 100), .init(requests: 500, inFlight: 500), service: 1, wakesLate: 50_000_000)
        #expect(late.map(\.intended) == fast.map(\.intended) && late.allSatisfy { $0.sent >= $0.intended + 50_000_000 || $0.sent >= $0.intended })
        #expect(late.contains { $0.sent > $0.intended })
    }

    @Test("arrivals are as many as asked for, and as irregular as independent ones are")
    func poisson() {
        let times = play(.poisson(rate: 50), .init(requests: 20_000, inFlight: 20_000), service: 1).map { Double($0.intended) / 1e9 }
        let gaps = zip(times.dropFirst(), times).map { $0 - $1 }
        let mean = gaps.reduce(0, +) / Double(gaps.count)
        let variance = gaps.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(gaps.count)
        #expect(abs(mean * 50 - 1) < 0.03)
        #expect(abs(variance / (mean * mean) - 1) < 0.06)
    }

    @Test("an open load's time counts where requests were to go out")
    func openTime() {
        let offsets: [UInt64] = [0, 10, 20, 30, 40]
        let sent = play(.timed(offsets), .init(requests: 100, duration: 30, inFlight: 8), service: 1, wakesLate: 100)
        #expect(sent.map(\.intended) == [0, 10, 20].prefix(sent.count).map { UInt64($0) })
        #expect(sent.count >= 1)
    }

    @Test("a trace's requests go out at its times; at once where they fall together")
    func timed() {
        let sent = play(.timed([0, 0, 5, 5, 9]), .init(requests: 100, inFlight: 8), service: 2)
        #expect(sent.map(\.sent) == [0, 0, 5, 5, 9])
        #expect(play(.timed([]), .init(requests: 100), service: 2).isEmpty)
    }

    @Test("requests beyond those that may be on their way are left out and counted")
    func leftOut() {
        let sent = play(.timed(Array(0..<10)), .init(requests: 10, inFlight: 4), service: 1_000)
        #expect(sent.map(\.intended) == Array(0..<10))
        #expect(sent.filter { $0.sent == .max }.count == 6)
    }
}
