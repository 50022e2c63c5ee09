import Glibc
import Tokens

/// One request as it is served: its stream, its completion so far, its times. The core makes and ends it inside its lock; between, the
/// thread that runs the batch it is in has it to itself.
final class Session: @unchecked Sendable {
    typealias Stream = AsyncThrowingStream<Generation, any Error>.Continuation

    let id: Schedule.ID
    let request: GenerationRequest
    let stream: Stream
    let arrived: UInt64
    private var completion: Completion
    /// As it was before prefill's token, until that token counts.
    private var before: Completion?
    private var held: [Generation.Piece] = []
    private(set) var finish: FinishReason?
    private(set) var admission: Schedule.Admission?
    private var leftQueue: UInt64?
    private var firstByPrefill: UInt64?
    private var firstForUser: UInt64?
    private(set) var lastPiece: UInt64?
    var handoff: RunReport.Handoff?
    private var recomputed: EngineError?
    private var rows: [RunReport.Stage] = []

    init(_ id: Schedule.ID, _ request: GenerationRequest, maxTokens: Int, tokenizer: Tokenizer, filters: ForeignHooks, stream: Stream, now: UInt64) {
        self.id = id
        self.request = request
        self.stream = stream
        arrived = now
        completion = Completion(request.request, maxTokens: maxTokens, tokenizer: tokenizer, filters: filters)
    }

    var completionTokens: Int { completion.tokens.count }

    /// Gives whether it is the first time, so that its reader is to hear of it.
    func began(_ admission: Schedule.Admission, now: UInt64) -> Bool {
        if leftQueue == nil { leftQueue = now }
        guard self.admission == nil else { return false }
        self.admission = admission
        return true
    }

    /// Tells the reader how it began: before its first batch, outside of the core's lock.
    func announce() {
        guard let admission else { return }
        stream.yield(
            .began(.init(route: admission.route.rawValue, routeReason: admission.reason, cachedTokens: admission.cachedTokens)))
    }

    /// Chooses the next token from its row of logits. The piece is held until `deliver`.
    func sample(_ logits: inout [Float], canBeTakenBack: Bool) throws(EngineError) -> Schedule.Outcome.Kind {
        if canBeTakenBack { before = completion }
        let scores = request.topLogprobs.map { Logprobs(logits, top: $0) }
        let count = completion.tokens.count
        var text = ""
        finish = try completion.next(&logits) { text += $0 }
        if completion.tokens.count > count {
            let token = completion.last
            held.append(.init(text: text, tokens: [.init(id: token, logprob: scores?.of(token), top: scores?.top ?? [])]))
        }
        if firstByPrefill == nil { firstByPrefill = WallClock.now }
        return finish == nil ? .token(completion.last) : .ended
    }

    /// Gives the reader what is held. Gives nanoseconds since arrival when it is the first, since the last piece when not.
    func deliver(now: UInt64) -> (first: Bool, nanoseconds: UInt64)? {
        before = nil
        if firstForUser == nil, firstByPrefill != nil, held.isEmpty { firstForUser = now }
        guard !held.isEmpty else { return nil }
        for piece in held { stream.yield(.piece(piece)) }
        held = []
        defer { lastPiece = now }
        if firstForUser == nil {
            firstForUser = now
            return (true, now &- arrived)
        }
        return (false, now &- (lastPiece ?? now))
    }

    var ttftPrefill: UInt64? { firstByPrefill.map { $0 &- arrived } }

    /// Prefill is done again: what it made does not count.
    func takeBack(_ error: EngineError) {
        recomputed = error
        if let before { completion = before }
        before = nil
        held = []
        finish = nil
        firstByPrefill = firstForUser
    }

    /// Adds a batch to the row of a stage.
    func add(_ stage: String, _ share: RunReport.Stage) {
        guard let index = rows.firstIndex(where: { $0.stage == stage && $0.device == share.device }) else { return rows.append(share) }
        rows[index].tokens += share.tokens
        rows[index].wallNanoseconds += share.wallNanoseconds
        if let modelled = share.modelledNanoseconds { rows[index].modelledNanoseconds = (rows[index].modelledNanoseconds ?? 0) + modelled }
    }

    func ended(now: UInt64) -> Generation.Ended {
        var carried = handoff
        if recomputed != nil { carried?.recomputed = true }
        return Generation.Ended(
            reason: finish ?? .length, promptTokens: request.request.prompt.count, cachedTokens: admission?.cachedTokens ?? 0,
            completionTokens: completion.tokens.count, queued: (leftQueue ?? now) &- arrived, ttftPrefill: (firstByPrefill ?? now) &- arrived,
            ttftUser: (firstForUser ?? now) &- arrived, total: now &- arrived, handoff: carried, stages: rows)
    }
}

/// Natural logarithms of the probabilities of a row of logits.
struct Logprobs {
    private let logits: [Float]
    private let normaliser: Double
    let top: [(id: Int32, logprob: Float)]

    init(_ logits: [Float], top count: Int) {
        self.logits = logits
        let peak = logits.max() ?? 0
        let sum = logits.reduce(0.0) { $0 + exp(Double($1 - peak)) }
        let whole = Double(peak) + log(sum)
        normaliser = whole
        top = Self.likeliest(logits, count).map { (Int32($0), Float(Double(logits[$0]) - whole)) }
    }

    func of(_ token: Int32) -> Float? {
        logits.indices.contains(Int(token)) ? Float(Double(logits[Int(token)]) - normaliser) : nil
    }

    /// The indices of the `count` largest, largest first; the lowest index of equals first.
    private static func likeliest(_ logits: [Float], _ count: Int) -> [Int] {
        var best: [Int] = []
        guard count > 0 else { return best }
        for (index, logit) in logits.enumerated() {
            if best.count == count, let last = best.last, logit <= logits[last] { continue }
            let place = best.firstIndex { logits[$0] < logit } ?? best.count
            best.insert(index, at: place)
            if best.count > count { best.removeLast() }
        }
        return best
    }
}
