public import Engine
internal import Synchronization

/// The latest requests and how far each has come, as the page draws them. Hears an engine's observations, on its threads; any thread may look.
public final class RequestTimeline: Sendable {
    /// Requests that are kept.
    static let limit = 48

    struct Entry: Sendable {
        let id: UInt64
        let promptTokens: Int
        /// Since the timeline was made.
        let arrived: Duration
        var admitted: Duration?
        var first: Duration?
        /// Nanoseconds after arrival at which prefill had made the first token.
        var prefillEnd: UInt64?
        var over: Duration?
        var began: Generation.Began?
        var ended: Generation.Ended?
    }
    private let start = ContinuousClock.now
    private let entries = Mutex<[Entry]>([])

    public init() {}

    public func hear(_ observation: ServingObservation) {
        let now = now
        switch observation {
        case .arrived(let id, let tokens):
            entries.withLock { entries in
                if entries.count == Self.limit { entries.removeFirst() }
                entries.append(Entry(id: id, promptTokens: tokens, arrived: now))
            }
        case .admitted(let id, let began):
            change(id) { entry in
                entry.began = entry.began ?? began
                entry.admitted = entry.admitted ?? now
            }
        case .firstToken(let id, let prefill):
            change(id) { entry in
                entry.first = now
                entry.prefillEnd = prefill
            }
        case .ended(let id, let ended):
            change(id) { entry in
                entry.over = now
                entry.ended = ended
            }
        case .ttftPrefill, .ttftUser, .interToken, .batch: break
        }
    }

    var now: Duration { start.duration(to: .now) }
    /// Oldest first.
    var latest: [Entry] { entries.withLock { $0 } }

    private func change(_ id: UInt64, _ body: (inout Entry) -> Void) {
        entries.withLock { entries in
            guard let index = entries.lastIndex(where: { $0.id == id }) else { return }
            body(&entries[index])
        }
    }
}
