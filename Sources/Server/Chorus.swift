internal import Engine
internal import Synchronization

/// Several answers to one HTTP request, read together. One reader.
final class Chorus: Sendable {
    struct Usage: Sendable, Hashable {
        var prompt = 0
        var cached = 0
        var completion = 0
    }
    struct Voice: Sendable {
        var pieces: [Generation.Piece]
        var ended: Generation.Ended
    }
    let record: RequestRecord
    private let answers: [Answer]
    private let counted = Mutex(Usage())

    init(_ answers: [Answer], _ record: RequestRecord) {
        self.answers = answers
        self.record = record
    }

    var count: Int { answers.count }
    var usage: Usage { counted.withLock { $0 } }

    /// Events of all with the number of the answer, as they come.
    var events: AsyncThrowingStream<(Int, Generation), any Error> {
        let (events, out) = AsyncThrowingStream.makeStream(of: (Int, Generation).self)
        let reader = Task {
            do {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for (index, answer) in answers.enumerated() {
                        group.addTask {
                            for try await event in answer.events {
                                if case .ended(let ended) = event { self.count(ended) }
                                out.yield((index, event))
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                out.finish()
            } catch { out.finish(throwing: error) }
        }
        out.onTermination = { _ in reader.cancel() }
        return events
    }

    /// All of every answer, in order.
    func whole() async throws -> [Voice] {
        var pieces = [[Generation.Piece]](repeating: [], count: count)
        var ends: [Int: Generation.Ended] = [:]
        do {
            for try await (index, event) in events {
                switch event {
                case .began: break
                case .piece(let piece): pieces[index].append(piece)
                case .ended(let ended): ends[index] = ended
                }
            }
        } catch let error as EngineError { throw Refusal(error, isDraining: false) }
        return try pieces.enumerated().map { index, pieces in
            guard let ended = ends[index] else { throw Refusal(.left, "the client left before the answer was complete") }
            return Voice(pieces: pieces, ended: ended)
        }
    }

    private func count(_ ended: Generation.Ended) {
        record.note(ended)
        counted.withLock {
            $0.prompt += ended.promptTokens
            $0.cached += ended.cachedTokens
            $0.completion += ended.completionTokens
        }
    }
}
