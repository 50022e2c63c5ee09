import Driver
import Glibc

/// How likely a text is under the model.
public struct Score: Sendable {
    public var ids: [Int32]
    /// Natural logarithm of p(ids[i] | ids[..<i]), for i from 1.
    public var tokenLogprobs: [Double]
    /// Their mean; nil for a single token.
    public var meanLogprob: Double? {
        tokenLogprobs.isEmpty ? nil : tokenLogprobs.reduce(0, +) / Double(tokenLogprobs.count)
    }
    /// Logits of the last position, [vocabulary].
    public var lastLogits: [Float]

    /// The `count` largest logits of the last position, largest first; ties by lower id.
    public func top(_ count: Int) -> [(id: Int, logit: Float)] {
        let order = lastLogits.indices.sorted { (lastLogits[$0], $1) > (lastLogits[$1], $0) }
        return order.prefix(count).map { ($0, lastLogits[$0]) }
    }
}

/// Runs a prompt through the prefill stage with every row's logits.
struct Scoring {
    let stage: OpenStage
    /// Rows of logits at once: 64 x 49,152 f32 are 12 MB.
    private static let rows = 64

    init(stage: OpenStage) { self.stage = stage }

    func run(_ prompt: [Int32]) throws(EngineError) -> Score {
        let kv: KVState
        do throws(HandoffAbort) { kv = try KVState(reserving: prompt.count, from: stage.allocator) } catch {
            throw EngineError(.usage, "stage \(stage.name): \(error)")
        }
        var score = Score(ids: prompt, tokenLogprobs: [], lastLogits: [])
        var logits: [Float] = []
        let step = max(1, min(Self.rows, stage.chunk))
        for start in stride(from: 0, to: prompt.count, by: step) {
            let range = start..<min(start + step, prompt.count)
            var batch = Batch()
            batch.tokens = prompt[range].map { UInt32(bitPattern: $0) }
            batch.positions = range.map(UInt32.init)
            batch.sequences = [UInt32](repeating: 0, count: range.count)
            batch.blockTables = kv.blocks
            batch.blockTableStride = kv.blocks.count
            batch.rows = (0..<UInt32(range.count)).map { $0 }
            _ = try stage.run(&batch)
            try stage.readLogits(rows: range.count, into: &logits)
            add(logits, range, prompt, &score)
        }
        return score
    }

    private func add(_ logits: [Float], _ range: Range<Int>, _ prompt: [Int32], _ score: inout Score) {
        let width = logits.count / range.count
        for row in 0..<range.count {
            let slice = logits[row * width..<(row + 1) * width]
            if range.lowerBound + row + 1 < prompt.count {
                let next = Int(prompt[range.lowerBound + row + 1])
                score.tokenLogprobs.append(Double(slice[slice.startIndex + next]) - Self.logSumExp(slice))
            } else {
                score.lastLogits = Array(slice)
            }
        }
    }

    private static func logSumExp(_ values: ArraySlice<Float>) -> Double {
        let peak = values.reduce(-Float.infinity, max)
        let sum = values.withUnsafeBufferPointer { buffer in
            var sum = 0.0
            for value in buffer { sum += Double(expf(value - peak)) }
            return sum
        }
        return Double(peak) + log(sum)
    }
}
