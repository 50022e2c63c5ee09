import Testing

@testable import LoadGenerator

struct WorkloadTests {
    private func words(_ text: String) -> [Substring] { text.split(separator: " ") }

    @Test("synthetic prompts have the words asked for, differ from each other, and are the same for the same seed")
    func synthetic() {
        let workload = Workload.synthetic(input: 100, output: 7)
        let prompts = (0..<50).map { workload.request($0, seed: 3) }
        #expect(prompts.allSatisfy { words($0.prompt).count == 100 && $0.maxTokens == 7 })
        #expect(Set(prompts.map(\.prompt)).count == 50)
        #expect(Set(prompts.map { words($0.prompt).prefix(3).joined() }).count == 50)
        #expect(prompts == (0..<50).map { workload.request($0, seed: 3) })
        #expect(Set(prompts.map(\.prompt)).isDisjoint(with: (0..<50).map { workload.request($0, seed: ~3).prompt }))
    }

    private static let trace = """
        {"timestamp": 1000, "input_length": 1100, "output_length": 5, "hash_ids": [1, 2, 3]}

        {"timestamp": 1500, "input_length": 1500, "output_length": 9, "hash_ids": [1, 2, 4]}
        {"timestamp": 4000, "input_length": 30, "output_length": 2}
        """

    @Test("a trace's prompts have its lengths, and equal text where it has equal blocks")
    func trace() throws {
        let trace = try RequestTrace(parsing: Self.trace)
        let workload = Workload.trace(trace, maxInput: 10_000, maxOutput: 6)
        let prompts = (0..<3).map { words(workload.request($0, seed: 1).prompt) }
        #expect(prompts.map(\.count) == [1100, 1500, 30])
        #expect(prompts[0].prefix(1024) == prompts[1].prefix(1024))
        #expect(prompts[0][1024..<1100] != prompts[1][1024..<1100])
        #expect((0..<3).map { workload.request($0, seed: 1).maxTokens } == [5, 6, 2])
        #expect(trace.offsets(speed: 1) == [0, 500_000_000, 3_000_000_000])
        #expect(trace.offsets(speed: 10) == [0, 50_000_000, 300_000_000])
        let cut = Workload.trace(trace, maxInput: 600, maxOutput: 6)
        #expect(words(cut.request(0, seed: 1).prompt).elementsEqual(prompts[0].prefix(600)))
    }

    @Test("a wrong line of a trace is named", arguments: [
        ("{", "line 1 is no request"), ("[1]", "line 1 is no request"), ("", "no requests"),
        (#"{"timestamp": 0, "input_length": 0, "output_length": 1}"#, "input_length is 0"),
        (#"{"timestamp": 0, "input_length": 1, "output_length": -1}"#, "output_length is -1"),
        (#"{"timestamp": -5, "input_length": 1, "output_length": 1}"#, "line 1: timestamp"),
        (#"{"timestamp": 0, "input_length": 1, "output_length": 1, "hash_ids": [-1]}"#, "line 1 is no request"),
        ("{\"timestamp\": 5, \"input_length\": 1, \"output_length\": 1}\n{\"timestamp\": 4, \"input_length\": 1, \"output_length\": 1}", "line 2: timestamp"),
    ])
    func wrongTrace(text: String, words: String) {
        #expect { try RequestTrace(parsing: text) } throws: { "\($0)".contains(words) }
    }

    @Test("a file of prompts has text or objects, one a line, and comes round again")
    func prompts() throws {
        let workload = try Workload.prompts(parsing: "Hello there\n\n{\"prompt\": \"a\\nb\", \"max_tokens\": 3}\n", maxTokens: 9)
        let requests = (0..<3).map { workload.request($0, seed: 0) }
        #expect(requests == [.init(prompt: "Hello there", maxTokens: 9), .init(prompt: "a\nb", maxTokens: 3), .init(prompt: "Hello there", maxTokens: 9)])
        #expect { try Workload.prompts(parsing: "ok\n{\"prompt\": 3}", maxTokens: 9) } throws: { "\($0)".contains("line 2") }
        #expect(throws: LoadError.self) { try Workload.prompts(parsing: "\n \n", maxTokens: 9) }
    }
}
