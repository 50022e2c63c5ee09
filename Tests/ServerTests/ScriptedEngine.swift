@testable import Engine
import Synchronization
import Tokens

/// Answers as it is told, without a model: tokens 33, 34, ... as "a", "b", ...; remembers what it was asked.
final class ScriptedEngine: Generating {
    enum Script: Sendable {
        /// So many tokens as the request allows.
        case answers
        /// Does not leave the queue; begins and makes a token; either until `release`.
        case waits, begins
        case refuses(EngineError)
        /// A token, and then an error.
        case fails(EngineError)
    }
    private struct State {
        var script: Script
        var requests: [GenerationRequest] = []
        var active = 0
        var cancelled = 0
        var held: [@Sendable () -> Void] = []
        var isReleased = false
        var idle: [CheckedContinuation<Void, Never>] = []
    }
    private let state: Mutex<State>

    init(_ script: Script = .answers) { state = Mutex(State(script: script)) }

    var requests: [GenerationRequest] { state.withLock { $0.requests } }
    /// Requests that have not ended; requests whose reader went away.
    var active: Int { state.withLock { $0.active } }
    var cancelled: Int { state.withLock { $0.cancelled } }
    var metrics: ServingMetrics {
        var metrics = ServingMetrics()
        metrics.routed = [.init(route: .aggregated, prefill: "script", decode: "script", count: 0)]
        return metrics
    }

    /// Lets all go on that wait, and all that will come.
    func release() {
        let held = state.withLock { state in
            state.isReleased = true
            defer { state.held = [] }
            return state.held
        }
        for body in held { body() }
    }

    func drain(limit: Duration?) async {
        await withCheckedContinuation { continuation in
            let isIdle = state.withLock { state in
                if state.active > 0 { state.idle.append(continuation) }
                return state.active == 0
            }
            if isIdle { continuation.resume() }
        }
    }

    func generate(_ request: GenerationRequest) -> AsyncThrowingStream<Generation, any Error> {
        AsyncThrowingStream { stream in
            let script = state.withLock { state in
                state.requests.append(request)
                state.active += 1
                return state.script
            }
            stream.onTermination = { [self] reason in ended(wasCancelled: { if case .cancelled = reason { true } else { false } }()) }
            play(script, request, stream)
        }
    }

    private func play(_ script: Script, _ request: GenerationRequest, _ stream: AsyncThrowingStream<Generation, any Error>.Continuation) {
        let finish: @Sendable () -> Void = {
            for number in 0..<request.request.maxTokens { stream.yield(Self.piece(number, request)) }
            stream.yield(Self.ended(request))
            stream.finish()
        }
        switch script {
        case .answers:
            stream.yield(Self.began)
            finish()
        case .waits:
            hold {
                stream.yield(Self.began)
                finish()
            }
        case .begins:
            stream.yield(Self.began)
            stream.yield(Self.piece(0, request))
            hold(finish)
        case .refuses(let error): stream.finish(throwing: error)
        case .fails(let error):
            stream.yield(Self.began)
            stream.yield(Self.piece(0, request))
            stream.finish(throwing: error)
        }
    }

    private func hold(_ body: @escaping @Sendable () -> Void) {
        let isReleased = state.withLock { state in
            if !state.isReleased { state.held.append(body) }
            return state.isReleased
        }
        if isReleased { body() }
    }

    private func ended(wasCancelled: Bool) {
        let waiters = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            state.active -= 1
            state.cancelled += wasCancelled ? 1 : 0
            guard state.active == 0 else { return [] }
            defer { state.idle = [] }
            return state.idle
        }
        for waiter in waiters { waiter.resume() }
    }

    static let began = Generation.began(.init(route: "aggregated", routeReason: "it is scripted", cachedTokens: 0))

    static func piece(_ number: Int, _ request: GenerationRequest) -> Generation {
        let token = Int32(33 + number % 26)
        let text = String(UnicodeScalar(UInt8(97 + number % 26)))
        let top = (request.topLogprobs ?? 0) > 0 ? [(id: token, logprob: Float(-0.5))] : []
        return .piece(.init(text: text, tokens: [.init(id: token, logprob: request.topLogprobs.map { _ in -0.5 }, top: top)]))
    }

    static func ended(_ request: GenerationRequest) -> Generation {
        .ended(
            .init(
                reason: .length, promptTokens: request.request.prompt.count, cachedTokens: 0, completionTokens: request.request.maxTokens, queued: 0,
                ttftPrefill: 1, ttftUser: 1, total: 2, handoff: nil, stages: []))
    }
}
