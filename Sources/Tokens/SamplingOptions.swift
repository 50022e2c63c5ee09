/// How the next token is chosen from logits. Checked when made.
public struct SamplingOptions: Sendable, Hashable {
    /// 0 is greedy.
    public let temperature: Float
    /// Only the `topK` likeliest; 0 for all.
    public let topK: Int
    /// Only the likeliest whose probabilities sum to `topP`; 1 for all.
    public let topP: Float
    /// Only those at least `minP` times as likely as the likeliest; 0 for all.
    public let minP: Float
    /// Logits of tokens seen in the window are divided by it when positive and multiplied when negative (Keskar et al. 2019); 1 for none.
    public let repetitionPenalty: Float
    public let repetitionWindow: Int
    public let seed: UInt64

    public static let greedy = SamplingOptions(unchecked: 0)

    private init(unchecked temperature: Float) {
        self.temperature = temperature
        (topK, topP, minP, repetitionPenalty, repetitionWindow, seed) = (0, 1, 0, 1, 64, 0)
    }

    public init(
        temperature: Float = 0, topK: Int = 0, topP: Float = 1, minP: Float = 0, repetitionPenalty: Float = 1, repetitionWindow: Int = 64,
        seed: UInt64 = 0
    ) throws(TokensError) {
        func check(_ holds: Bool, _ name: String, _ value: some CustomStringConvertible, _ wanted: String) throws(TokensError) {
            guard holds else { throw TokensError("\(name) is \(value); give \(wanted)") }
        }
        try check(temperature >= 0 && temperature <= 100, "temperature", temperature, "a number from 0 (greedy) to 100")
        try check(topK >= 0, "top_k", topK, "0 (all) or a count")
        try check(topP > 0 && topP <= 1, "top_p", topP, "a number above 0 and at most 1")
        try check(minP >= 0 && minP <= 1, "min_p", minP, "a number from 0 to 1")
        try check(repetitionPenalty > 0 && repetitionPenalty <= 100, "repetition_penalty", repetitionPenalty, "a number above 0; 1 is none")
        try check(repetitionWindow >= 0, "repetition_window", repetitionWindow, "0 or a count of tokens")
        self.temperature = temperature
        self.topK = topK
        self.topP = topP
        self.minP = minP
        self.repetitionPenalty = repetitionPenalty
        self.repetitionWindow = repetitionWindow
        self.seed = seed
    }
}
