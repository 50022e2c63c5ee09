internal import Engine

/// A request that has left the queue: which way it goes, and what is made of it.
struct Answer: Sendable {
    let began: Generation.Began
    let promptTokens: Int
    /// Pieces, then one `ended`; a failure throws `EngineError`. When the reader ends it the request is cancelled.
    let events: AsyncThrowingStream<Generation, any Error>

    /// Reads `stream` until it begins. From then on it ends when the reader ends it or `departure` says that the client has left.
    /// - Parameter over: called once, however it ends, with the tokens made.
    init(
        _ stream: AsyncThrowingStream<Generation, any Error>, until departure: Departure, promptTokens: Int,
        over: @escaping @Sendable (Int) -> Void
    ) async throws {
        let (events, out) = AsyncThrowingStream.makeStream(of: Generation.self)
        let pump = Task {
            var made = 0
            do {
                for try await event in stream {
                    if case .piece(let piece) = event { made += piece.tokens.count }
                    out.yield(event)
                }
                over(made)
                out.finish()
            } catch {
                over(made)
                out.finish(throwing: error)
            }
        }
        let ticket = departure.whenLeft { pump.cancel() }
        out.onTermination = { _ in
            pump.cancel()
            departure.forget(ticket)
        }
        var iterator = events.makeAsyncIterator()
        guard case .began(let began) = try await iterator.next() else { throw CancellationError() }
        self.began = began
        self.events = events
        self.promptTokens = promptTokens
    }

    /// All of it: text and tokens, and how it ended. Nil when the client left first.
    func whole() async throws -> (pieces: [Generation.Piece], ended: Generation.Ended)? {
        var pieces: [Generation.Piece] = []
        for try await event in events {
            switch event {
            case .began: break
            case .piece(let piece): pieces.append(piece)
            case .ended(let ended): return (pieces, ended)
            }
        }
        return nil
    }
}
