import Driver
import DriverConformance
import Engine
import Model

/// Two drivers, A to prefill and B to decode, with the models that they are tried on, open on both.
final class HandoffPair {
    /// A model on A and on B, and what A alone makes of a prompt.
    struct Opened {
        var name: String
        var a: HandoffSite
        var b: HandoffSite
        var trial: HandoffTrial
        var alone: HandoffTrial.Outcome
    }
    private let models: [Opened]

    init(_ a: HandoffSubject, _ b: HandoffSubject, models: [(name: String, file: ModelFile)], catalog: DriverCatalog) throws {
        self.models = try models.map { model in
            let first = try HandoffSite("a", driver: a.path, options: DriverOptions(a.options), model: model.file, context: 128, catalog: catalog)
            let second = try HandoffSite("b", driver: b.path, options: DriverOptions(b.options), model: model.file, context: 128, catalog: catalog)
            var random = Numbers(seed: UInt64(model.file.hyperparameters.hidden))
            let prompt = (0..<37).map { _ in Int32(random.below(model.file.hyperparameters.vocabulary)) }
            var trial = HandoffTrial(prompt: prompt, forced: (0..<4).map { _ in Int32(random.below(model.file.hyperparameters.vocabulary)) })
            trial.chunk = nil
            return Opened(name: model.name, a: first, b: second, trial: trial, alone: try trial.alone(first))
        }
    }

    func a(_ model: Opened) -> HandoffSite { model.a }
    func b(_ model: Opened) -> HandoffSite { model.b }

    /// Runs a check on each model; gives what they said that differs.
    func each(_ check: (Opened) throws -> String) rethrows -> String {
        var said: [String] = []
        for model in models {
            let words = try check(model)
            if !words.isEmpty, !said.contains(words) { said.append(words) }
        }
        return said.joined(separator: ", ")
    }

    /// KV is what its casts make of A's.
    func holdKV(_ found: HandoffTrial.Outcome, _ alone: HandoffTrial.Outcome, _ what: String) throws {
        let wanted = Self.cast(alone.kv, found.casts)
        guard found.kv.count == wanted.count else { throw HandoffBreach("\(what): \(found.kv.count) elements of KV arrived of \(wanted.count)") }
        guard let wrong = found.kv.indices.first(where: { found.kv[$0] != wanted[$0] }) else { return }
        throw HandoffBreach("\(what): element \(wrong) of the KV is \(found.kv[wrong]) on B and should be \(wanted[wrong])")
    }

    /// Rounded to nearest even in one dtype after another.
    private static func cast(_ values: [Float], _ dtypes: [DType]) -> [Float] {
        dtypes.reduce(values) { values, dtype in
            switch dtype {
            case .f16: values.map { Float(Float16(min(max($0, -65_504), 65_504))) }
            case .bf16: values.map { value in
                let bits = value.bitPattern
                return Float(bitPattern: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) & 0xFFFF_0000)
            }
            default: values
            }
        }
    }

    /// Logits within eight times what the coarsest dtype on the way rounds to, and the same tokens where the choice is wider than that.
    func holdLogits(_ found: HandoffTrial.Outcome, _ alone: HandoffTrial.Outcome, _ model: Opened) throws -> String {
        let limit = 8 * roundoff(found, model)
        let distance = Self.distance(found.logits, alone.logits)
        guard distance <= limit else { throw HandoffBreach("\(model.name), \(found.conversion): B's logits are \(distance) from A's, \(limit) is allowed") }
        for (step, (b, a)) in zip(found.logits, alone.logits).enumerated() {
            let best = Self.best(a)
            guard best.gap > 2 * Float(limit) * Self.spread(a), Self.best(b).index != best.index else { continue }
            throw HandoffBreach("\(model.name), \(found.conversion): after \(step) steps B chooses token \(Self.best(b).index) and A chose \(best.index)")
        }
        return ""
    }

    /// Half a unit in the last place of the coarsest dtype that KV went through or either device computes in.
    private func roundoff(_ found: HandoffTrial.Outcome, _ model: Opened) -> Double {
        let kv = (found.casts + [model.a.kept, model.b.kept]).map { $0 == .bf16 ? 0x1p-8 : $0 == .f16 ? 0x1p-11 : 0x1p-16 }
        let computes = [model.a.info, model.b.info].map { info -> Double in
            if info.computeDTypes.contains(.i8) || info.computeDTypes.contains(.mxfp8) { return 0x1p-6 }
            return info.computeDTypes.contains(.bf16) ? 0x1p-8 : info.computeDTypes.contains(.f16) ? 0x1p-11 : 0x1p-16
        }
        return (kv + computes).max() ?? 0
    }

    private static func best(_ row: [Float]) -> (index: Int, gap: Float) {
        var (first, second) = (0, -1)
        for index in row.indices.dropFirst() {
            if row[index] > row[first] { (first, second) = (index, first) } else if second < 0 || row[index] > row[second] { second = index }
        }
        return (first, second < 0 ? .infinity : row[first] - row[second])
    }

    /// Root mean square of a row about its mean.
    private static func spread(_ row: [Float]) -> Float {
        let mean = row.reduce(0, +) / Float(max(row.count, 1))
        return (row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Float(max(row.count, 1))).squareRoot()
    }

    /// Root mean square of the difference over that of `b` about its mean.
    private static func distance(_ a: [[Float]], _ b: [[Float]]) -> Double {
        let (x, y) = (a.joined().map(Double.init), b.joined().map(Double.init))
        guard x.count == y.count, !y.isEmpty else { return .infinity }
        let mean = y.reduce(0, +) / Double(y.count)
        let difference = zip(x, y).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        let gap = (difference / y.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }).squareRoot()
        return gap.isFinite ? gap : .infinity
    }
}
