import Glibc

/// Chooses tokens from logits. The same options, logits and history give the same tokens.
public struct Sampler: Sendable {
    public let options: SamplingOptions
    private var random: RandomSource
    private var candidates: [Candidate] = []

    private struct Candidate {
        var id: Int32
        var logit: Float
    }

    public init(_ options: SamplingOptions) {
        self.options = options
        random = RandomSource(seed: options.seed)
    }

    /// The next token. `logits` is [vocabulary] and may be changed by the penalty; `history` is what came before.
    /// Throws when no token can be chosen: every logit is -infinity, or one is not a number.
    public mutating func next(_ logits: UnsafeMutableBufferPointer<Float>, history: [Int32]) throws(TokensError) -> Int32 {
        penalise(logits, history)
        let best = try greatest(logits)
        guard options.temperature > 0 else { return Int32(best) }
        collect(logits, peak: logits[best])
        return draw()
    }

    private func penalise(_ logits: UnsafeMutableBufferPointer<Float>, _ history: [Int32]) {
        guard options.repetitionPenalty != 1 else { return }
        for id in Set(history.suffix(options.repetitionWindow)) where logits.indices.contains(Int(id)) {
            let value = logits[Int(id)]
            logits[Int(id)] = value > 0 ? value / options.repetitionPenalty : value * options.repetitionPenalty
        }
    }

    /// The index of the greatest logit, the lowest of equals.
    private func greatest(_ logits: UnsafeMutableBufferPointer<Float>) throws(TokensError) -> Int {
        let (value, isDamaged) = Self.peak(logits)
        if isDamaged, let index = logits.firstIndex(where: \.isNaN) {
            throw TokensError("logit \(index) is not a number; the device's result is damaged")
        }
        guard value > -.infinity, value < .infinity, let best = Self.first(value, in: logits) else {
            throw TokensError("no token can be chosen: the logits are all -infinity, or one is infinite")
        }
        return best
    }

    /// The greatest logit, and whether any is not a number. Sixteen at a time: a vocabulary is read for every token.
    private static func peak(_ logits: UnsafeMutableBufferPointer<Float>) -> (value: Float, hasNaN: Bool) {
        var most = SIMD16<Float>(repeating: -.infinity)
        var odd = SIMDMask<SIMD16<Int32>>(repeating: false)
        let whole = logits.count / 16 * 16
        if let base = logits.baseAddress.map({ UnsafeRawPointer($0) }) {
            for index in stride(from: 0, to: whole, by: 16) {
                let lanes = base.loadUnaligned(fromByteOffset: index * 4, as: SIMD16<Float>.self)
                most.replace(with: lanes, where: lanes .> most)
                odd = odd .| (lanes .!= lanes)
            }
        }
        var (value, hasNaN) = (most.max(), any(odd))
        for logit in logits[whole...] {
            value = logit > value ? logit : value
            hasNaN = hasNaN || logit.isNaN
        }
        return (value, hasNaN)
    }

    private static func first(_ value: Float, in logits: UnsafeMutableBufferPointer<Float>) -> Int? {
        let whole = logits.count / 16 * 16
        if let base = logits.baseAddress.map({ UnsafeRawPointer($0) }) {
            for index in stride(from: 0, to: whole, by: 16) {
                let same = base.loadUnaligned(fromByteOffset: index * 4, as: SIMD16<Float>.self) .== value
                if any(same) { return (index..<index + 16).first { logits[$0] == value } }
            }
        }
        return logits[whole...].firstIndex(of: value)
    }

    /// The tokens that top-k, min-p and top-p leave, likeliest first.
    private mutating func collect(_ logits: UnsafeMutableBufferPointer<Float>, peak: Float) {
        candidates.removeAll(keepingCapacity: true)
        // Below e^-40 of the likeliest a token is never drawn in practice, and sorting the whole vocabulary costs milliseconds.
        let floor = peak - max(options.temperature, 1e-4) * (options.minP > 0 ? min(40, -logf(options.minP)) : 40)
        for index in logits.indices where logits[index] >= floor { candidates.append(Candidate(id: Int32(index), logit: logits[index])) }
        candidates.sort { ($0.logit, $1.id) > ($1.logit, $0.id) }
        if options.topK > 0, candidates.count > options.topK { candidates.removeLast(candidates.count - options.topK) }
        guard options.topP < 1 else { return }
        let total = candidates.reduce(0.0) { $0 + weight($1, peak) }
        var sum = 0.0
        var kept = 0
        for candidate in candidates {
            sum += weight(candidate, peak)
            kept += 1
            if sum >= Double(options.topP) * total { break }
        }
        candidates.removeLast(candidates.count - kept)
    }

    private func weight(_ candidate: Candidate, _ peak: Float) -> Double { exp(Double(candidate.logit - peak) / Double(options.temperature)) }

    private mutating func draw() -> Int32 {
        let peak = candidates.first?.logit ?? 0
        let total = candidates.reduce(0.0) { $0 + weight($1, peak) }
        var left = random.unit() * total
        for candidate in candidates {
            left -= weight(candidate, peak)
            if left < 0 { return candidate.id }
        }
        return candidates.last?.id ?? 0
    }
}
