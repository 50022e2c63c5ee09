/// The states of one handoff, the same on both sides. Adopted and aborted are final.
public enum HandoffState: Sendable, Hashable {
    /// The prefill side has a request; nothing is held yet.
    case offered
    /// The decode side holds blocks for the whole request.
    case reserved
    /// Pieces are arriving.
    case filling
    /// Every piece has arrived and been checked.
    case sealed
    /// The decode side owns the KV; the prefill side has let go.
    case adopted
    case aborted(HandoffAbort)
}

/// Why a handoff ended without being adopted.
public enum HandoffAbort: Sendable, Hashable {
    /// The request needs more blocks than the decode side has at all.
    case neverFits(needed: Int, there: Int)
    /// The decode side has too few free blocks now.
    case busy(needed: Int, free: Int)
    case deadline(milliseconds: Int)
    /// A piece did not arrive as it was sent.
    case checksum(layer: Int, firstToken: Int)
    /// A late write to a reservation that has ended.
    case stale(generation: UInt64, current: UInt64)
    case deviceFailed(String)
    case cancelled
}

/// One handoff as a value: events in, actions out. It holds no device, so that every path is tested without one.
public struct HandoffMachine: Sendable {
    public enum Event: Sendable {
        /// The decode side answered the offer: blocks held under this generation, until the lease ends unless renewed.
        case reserved(generation: UInt64)
        case refused(HandoffAbort)
        /// A piece has come out of the prefill device; checksums are nil when they are off.
        case arrived(piece: Int, generation: UInt64, sent: UInt64?, found: UInt64?)
        /// A piece is in the decode device's pool.
        case imported(piece: Int)
        /// Prefill has ended, so the number of pieces is known and the deadline starts.
        case prefillEnded(pieces: Int)
        case failed(HandoffAbort)
        /// Time passed and nothing happened.
        case tick
    }
    public enum Action: Sendable, Hashable {
        case reserve(tokens: Int)
        case importPiece(Int)
        /// The decode side owns the KV; the prefill side's blocks go back.
        case adopt
        /// Both sides' blocks go back; the generation ends, so that what is still on its way is refused.
        case release(HandoffAbort)
    }

    public private(set) var state = HandoffState.offered
    public private(set) var generation: UInt64 = 0
    /// Nanoseconds the lease runs without a sign of life, and from the end of prefill to adoption.
    let deadline: UInt64
    let tokens: Int
    /// For the words of a checksum failure.
    let place: @Sendable (Int) -> (layer: Int, firstToken: Int)
    private var expected: Int?
    private var imported = 0
    private var arrived: Set<Int> = []
    private var leaseEnds: UInt64

    /// - Parameters:
    ///   - tokens: of the whole request, prompt and completion, as the decode side reserves before prefill runs.
    ///   - deadline: nanoseconds.
    ///   - now: nanoseconds on any rising clock, the same for every event.
    public init(
        tokens: Int, deadline: UInt64, now: UInt64, place: @escaping @Sendable (Int) -> (layer: Int, firstToken: Int) = { ($0, 0) }
    ) {
        self.tokens = tokens
        self.deadline = deadline
        self.place = place
        leaseEnds = now &+ deadline
    }

    /// What to do first.
    public var opening: [Action] { [.reserve(tokens: tokens)] }

    public mutating func handle(_ event: Event, now: UInt64) -> [Action] {
        switch (state, event) {
        case (.adopted, _), (.aborted, _): return []
        case (_, .failed(let reason)), (.offered, .refused(let reason)): return abort(reason)
        case (.offered, .reserved(let generation)):
            self.generation = generation
            state = .reserved
        case (.reserved, .arrived), (.filling, .arrived): return arrive(event, now)
        case (.filling, .imported):
            imported += 1
            return renewed(now, sealIfWhole())
        case (_, .prefillEnded(let pieces)) where state == .reserved || state == .filling:
            expected = pieces
            if pieces > 0 || state == .filling { state = .filling }
            return renewed(now, sealIfWhole())
        case (_, .tick): return now > leaseEnds ? abort(.deadline(milliseconds: Int(deadline / 1_000_000))) : []
        default: return abort(.deviceFailed("event out of order: \(event) while \(state)"))
        }
        return renewed(now, [])
    }

    private mutating func arrive(_ event: Event, _ now: UInt64) -> [Action] {
        guard case .arrived(let piece, let generation, let sent, let found) = event else { return [] }
        guard generation == self.generation else { return abort(.stale(generation: generation, current: self.generation)) }
        guard sent == found else {
            let (layer, token) = place(piece)
            return abort(.checksum(layer: layer, firstToken: token))
        }
        state = .filling
        guard arrived.insert(piece).inserted else { return [] }
        return renewed(now, [.importPiece(piece)])
    }

    private mutating func sealIfWhole() -> [Action] {
        guard let expected, imported >= expected else { return [] }
        state = .sealed
        defer { state = .adopted }
        return [.adopt]
    }

    /// Every event is a heartbeat.
    private mutating func renewed(_ now: UInt64, _ actions: [Action]) -> [Action] {
        leaseEnds = now &+ deadline
        return actions
    }

    private mutating func abort(_ reason: HandoffAbort) -> [Action] {
        state = .aborted(reason)
        return [.release(reason)]
    }
}

extension HandoffState: CustomStringConvertible {
    public var description: String {
        switch self {
        case .offered: "offered"
        case .reserved: "reserved"
        case .filling: "filling"
        case .sealed: "sealed"
        case .adopted: "adopted"
        case .aborted(let reason): "aborted: \(reason)"
        }
    }
}

extension HandoffAbort: CustomStringConvertible {
    public var description: String {
        switch self {
        case .neverFits(let needed, let there): "never_fits: needs \(needed) KV blocks, the decode device has \(there)"
        case .busy(let needed, let free): "busy: needs \(needed) KV blocks, \(free) are free"
        case .deadline(let milliseconds): "deadline: nothing arrived for \(milliseconds) ms"
        case .checksum(let layer, let token): "checksum: layer \(layer) from token \(token) did not arrive as it was sent"
        case .stale(let generation, let current): "stale: a write of generation \(generation) came to generation \(current)"
        case .deviceFailed(let words): "device failed: \(words)"
        case .cancelled: "cancelled"
        }
    }
}
