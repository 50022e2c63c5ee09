import FoundationEssentials

/// One request of a load.
public struct LoadRequest: Sendable, Hashable {
    public var prompt: String
    public var maxTokens: Int
}

/// What is asked.
public enum Workload: Sendable {
    /// Prompts of so many words, each another, and completions of so many tokens.
    case synthetic(input: Int, output: Int)
    /// These, again and again.
    case prompts([LoadRequest])
    /// A trace's lengths and shared beginnings; what is longer than the limits is cut to them.
    case trace(RequestTrace, maxInput: Int, maxOutput: Int)

    /// How many there are; nil for without end.
    public var count: Int? {
        if case .trace(let trace, _, _) = self { trace.entries.count } else { nil }
    }

    /// The request of a number: the same one for the same seed, and another for another number where the workload has another.
    public func request(_ index: Int, seed: UInt64) -> LoadRequest {
        switch self {
        case .synthetic(let input, let output):
            return LoadRequest(prompt: SyntheticText.text(words: input, seed: seed, stream: UInt64(index)), maxTokens: output)
        case .prompts(let prompts):
            return prompts[index % prompts.count]
        case .trace(let trace, let maxInput, let maxOutput):
            let number = index % trace.entries.count
            let entry = trace.entries[number]
            return LoadRequest(
                prompt: trace.prompt(number, words: min(entry.input_length, maxInput), seed: seed), maxTokens: min(entry.output_length, maxOutput))
        }
    }

    /// Prompts of a file: a line each, either the text itself or `{"prompt": "...", "max_tokens": n}`.
    public static func prompts(parsing text: String, maxTokens: Int) throws(LoadError) -> Workload {
        struct Line: Decodable {
            var prompt: String
            var max_tokens: Int?
        }
        var prompts: [LoadRequest] = []
        for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() where !line.allSatisfy(\.isWhitespace) {
            guard line.first == "{" else {
                prompts.append(LoadRequest(prompt: String(line), maxTokens: maxTokens))
                continue
            }
            guard let parsed = try? JSONDecoder().decode(Line.self, from: Data(line.utf8)), parsed.max_tokens ?? 1 > 0 else {
                throw LoadError("line \(number + 1) is no prompt; one is text, or {\"prompt\": \"...\", \"max_tokens\": n}")
            }
            prompts.append(LoadRequest(prompt: parsed.prompt, maxTokens: parsed.max_tokens ?? maxTokens))
        }
        guard !prompts.isEmpty else { throw LoadError("the file has no prompts; give one a line") }
        return .prompts(prompts)
    }

    public var description: String {
        switch self {
        case .synthetic(let input, let output): "\(input) words in, \(output) tokens out"
        case .prompts(let prompts): prompts.count == 1 ? "1 prompt" : "\(prompts.count) prompts"
        case .trace(let trace, _, _): "a trace of \(trace.entries.count) requests"
        }
    }
}
