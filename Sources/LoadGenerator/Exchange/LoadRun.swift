/// One load: requests go out as the machine says, and each leaves a record.
public struct LoadRun: Sendable {
    public let client: LoadClient
    public let pattern: LoadPattern
    public let bounds: LoadMachine.Bounds
    public let workload: Workload
    public let seed: UInt64
    /// The number of the first request's prompt, so that loads one after another do not repeat prompts.
    public let firstIndex: Int

    public init(_ client: LoadClient, _ pattern: LoadPattern, bounds: LoadMachine.Bounds, workload: Workload, seed: UInt64, firstIndex: Int = 0) {
        (self.client, self.pattern, self.bounds) = (client, pattern, bounds)
        (self.workload, self.seed, self.firstIndex) = (workload, seed, firstIndex)
    }

    private enum Happening: Sendable {
        case woke
        case ended(StreamRecord)
    }

    /// Returns when every request has ended, with their records. `report` hears the number of ended requests.
    public func run(report: (Int) -> Void = { _ in }) async -> [StreamRecord] {
        await withTaskGroup(of: Happening.self) { group in
            var machine = LoadMachine(pattern, bounds: bounds, seed: seed &+ UInt64(firstIndex))
            var records: [StreamRecord] = []
            let clock = LoadClock()
            var event = LoadMachine.Event.started
            while true {
                for action in machine.step(event, now: clock.now) { perform(action, clock, &group, &records) }
                guard let happening = await group.next() else { return records }
                switch happening {
                case .woke: event = .woke
                case .ended(let record):
                    event = .ended
                    records.append(record)
                    report(records.count)
                }
            }
        }
    }

    private func perform(_ action: LoadMachine.Action, _ clock: LoadClock, _ group: inout TaskGroup<Happening>, _ records: inout [StreamRecord]) {
        switch action {
        case .send(let index, let intended):
            let request = workload.request(firstIndex + index, seed: seed)
            group.addTask { [client] in .ended(await client.ask(request, intended: intended, clock: clock)) }
        case .leaveOut(_, let intended):
            var record = StreamRecord(intended: intended, sent: intended)
            record.fail(.leftOut, at: intended)
            records.append(record)
        case .wake(let time):
            group.addTask {
                try? await clock.sleep(until: time)
                return .woke
            }
        case .finish: break
        }
    }
}
