import Foundation
public import Testing

/// The independent reference: prompts with token ids, log-probabilities and greedy continuations.
public struct Golden: Decodable, Sendable {
    public struct Case: Decodable, Sendable, CustomTestStringConvertible {
        public var name: String
        public var text: String
        public var ids: [Int32]
        public var last_logits_top20: [[Double]]
        public var greedy32: [Int32]
        public var greedy32_top1_gap: [Double]
        public var mean_logprob: Double?
        public var testDescription: String { name }
    }
    public var cases: [Case]

    public static let prompts: [Case] = {
        let path = #filePath.split(separator: "/").dropLast(2).reduce("") { $0 + "/" + $1 } + "/Fixtures/prompts.json"
        let data = FileManager.default.contents(atPath: path) ?? Data()
        return (try? JSONDecoder().decode(Golden.self, from: data).cases) ?? []
    }()
}
