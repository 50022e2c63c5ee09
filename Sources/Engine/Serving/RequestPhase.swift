/// Where a request stands between its arrival and its end.
public enum RequestPhase: String, CaseIterable, Sendable {
    /// It waits for KV, a seat or its turn.
    case queue
    /// Tokens of its prompt are being computed, on whichever device.
    case prefill
    /// Its prompt is computed, and its KV on the way to the device that decodes.
    case handoff
    case decode
}

extension Schedule {
    /// Where a request stands; nil when there is none of that number.
    func phase(of id: ID) -> RequestPhase? { sequences[id].map(Self.phase) }

    /// How many requests stand where.
    public var phases: [RequestPhase: Int] {
        sequences.values.reduce(into: [:]) { $0[Self.phase($1), default: 0] += 1 }
    }

    private static func phase(_ sequence: Sequence) -> RequestPhase {
        switch sequence.phase {
        case .waiting: .queue
        case .prefilling: .prefill
        case .handing, .closing: .handoff
        case .decoding: sequence.tokens.count > sequence.promptCount ? .decode : .prefill
        }
    }
}
