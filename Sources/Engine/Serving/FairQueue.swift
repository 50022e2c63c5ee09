/// Requests that wait, in fair order: within a client and priority first come, first out; between them by virtual time, in which each
/// request takes its tokens divided by its priority's weight (start-time and finish tags after Demers, Keshav and Shenker 1989).
/// A client that asks for much waits behind its own; nobody waits for ever.
struct FairQueue: Sendable {
    struct Flow: Hashable, Sendable {
        var client: String
        var priority: GenerationRequest.Priority
    }
    struct Entry: Sendable {
        var id: UInt64
        var tokens: Int
    }
    private struct Line: Sendable {
        var entries: [Entry] = []
        /// Where the flow's last request that left ends in virtual time, and where its first one begins: fixed when it comes first.
        var finished = 0.0
        var start = 0.0
        /// Breaks ties: the flow that came first.
        var ordinal: UInt64 = 0
    }
    private var lines: [Flow: Line] = [:]
    private var now = 0.0
    private var nextOrdinal: UInt64 = 0
    private(set) var count = 0
    private(set) var tokens = 0

    static func weight(_ priority: GenerationRequest.Priority) -> Double {
        switch priority {
        case .flex: 1
        case .standard: 4
        case .priority: 16
        }
    }

    mutating func append(_ entry: Entry, to flow: Flow) {
        if lines[flow] == nil {
            nextOrdinal += 1
            lines[flow] = Line(finished: now, ordinal: nextOrdinal)
        }
        if let line = lines[flow], line.entries.isEmpty { lines[flow]?.start = max(now, line.finished) }
        lines[flow]?.entries.append(entry)
        count += 1
        tokens += entry.tokens
    }

    /// The request whose turn it is among flows that `allows` lets go.
    func next(where allows: (Flow) -> Bool) -> (flow: Flow, entry: Entry)? {
        var best: (tag: Double, ordinal: UInt64, flow: Flow, entry: Entry)?
        for (flow, line) in lines {
            guard let head = line.entries.first, allows(flow) else { continue }
            let tag = finish(line, head, flow)
            if let found = best, (found.tag, found.ordinal) <= (tag, line.ordinal) { continue }
            best = (tag, line.ordinal, flow, head)
        }
        return best.map { ($0.flow, $0.entry) }
    }

    private func finish(_ line: Line, _ head: Entry, _ flow: Flow) -> Double {
        line.start + Double(max(1, head.tokens)) / Self.weight(flow.priority)
    }

    /// Takes the head of `flow` out: its turn has come.
    mutating func serve(_ flow: Flow) {
        guard var line = lines[flow], let head = line.entries.first else { return }
        line.finished = finish(line, head, flow)
        now = max(now, line.start)
        line.start = line.finished
        line.entries.removeFirst()
        count -= 1
        tokens -= head.tokens
        lines[flow] = line
        tidy()
    }

    /// Takes a request out that no longer waits.
    mutating func remove(_ id: UInt64, from flow: Flow) {
        guard let index = lines[flow]?.entries.firstIndex(where: { $0.id == id }), let gone = lines[flow]?.entries.remove(at: index) else { return }
        count -= 1
        tokens -= gone.tokens
        tidy()
    }

    /// Flows that owe nothing are forgotten; with nobody waiting all start anew.
    private mutating func tidy() {
        if count == 0 { now = max(now, lines.values.map(\.finished).min() ?? now) }
        for (flow, line) in lines where line.entries.isEmpty && line.finished <= now { lines[flow] = nil }
    }
}
