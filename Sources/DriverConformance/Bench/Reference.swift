import CDriver
import Glibc

/// The operations of the contract computed plainly, one number at a time, with sums in double precision. What a driver's results are held to.
struct Reference {
    /// The KV of every sequence, by its name: [layer][position], K and V.
    private var kv: [Int: [Int32: [(k: [Float], v: [Float])]]] = [:]

    /// Runs a batch through a stage. `names` says which sequence each index of the batch stands for. Gives every output, and every tensor made.
    mutating func run(_ stage: Stage, _ feed: Feed, inputs: [Int: [Float]] = [:], names: [Int]? = nil) -> [Int: [Float]] {
        var tensors = inputs
        for (index, tensor) in stage.tensors.enumerated() where tensor.role == 1 { tensors[index] = tensor.values }
        for op in stage.ops {
            let sources = withUnsafeBytes(of: op.inputs) { $0.bindMemory(to: UInt32.self).prefix(Int(op.input_count)).map { Int($0) } }
            let values = sources.map { tensors[$0] ?? [] }
            let width = stage.tensors[Int(op.output)].columns
            tensors[Int(op.output)] = apply(op, values, width, stage.tensors[sources[0]].columns, feed, names ?? Array(0..<feed.pieces.count))
        }
        return tensors
    }

    private mutating func apply(_ op: baton_op, _ x: [[Float]], _ width: Int, _ columns: Int, _ feed: Feed, _ names: [Int]) -> [Float] {
        switch Stage.Operation(rawValue: op.kind) {
        case .embed: feed.tokens.flatMap { x[0][Int($0) * width..<(Int($0) + 1) * width] }
        case .rmsNorm: Self.rmsNorm(x[0], x[1], op.epsilon)
        case .linear: Self.linear(x[0], x[1], x.count > 2 ? x[2] : [], columns, width)
        case .rope: Self.rope(x[0], op, feed.positions, width)
        case .attention: attention(op, x[0], x[1], x[2], feed, names)
        case .swiglu: zip(x[0], x[1]).map { Float(Double($0) / (1 + exp(-Double($0))) * Double($1)) }
        case .add: x[0].indices.map { x[0][$0] + x[1][$0 % x[1].count] }
        case .mul: x[0].indices.map { x[0][$0] * x[1][$0 % x[1].count] }
        case .scale: x[0].map { $0 * op.scale }
        case .softcap: x[0].map { Float(Double(op.cap) * tanh(Double($0) / Double(op.cap))) }
        case .selectRows: feed.rows.flatMap { x[0][Int($0) * width..<(Int($0) + 1) * width] }
        case nil: []
        }
    }

    private static func rmsNorm(_ x: [Float], _ weight: [Float], _ epsilon: Float) -> [Float] {
        var out: [Float] = []
        for start in stride(from: 0, to: x.count, by: weight.count) {
            let row = x[start..<start + weight.count]
            let mean = row.reduce(0) { $0 + Double($1) * Double($1) } / Double(weight.count)
            let scale = 1 / (mean + Double(epsilon)).squareRoot()
            out += zip(row, weight).map { Float(Double($0) * scale * Double($1)) }
        }
        return out
    }

    private static func linear(_ x: [Float], _ weight: [Float], _ bias: [Float], _ inputs: Int, _ outputs: Int) -> [Float] {
        var out = [Float](repeating: 0, count: x.count / inputs * outputs)
        x.withUnsafeBufferPointer { x in
            weight.withUnsafeBufferPointer { weight in
                for row in 0..<x.count / inputs {
                    for column in 0..<outputs {
                        var sum = bias.isEmpty ? 0 : Double(bias[column])
                        var i = 0
                        while i < inputs { sum += Double(x[row * inputs + i]) * Double(weight[column * inputs + i]); i += 1 }
                        out[row * outputs + column] = Float(sum)
                    }
                }
            }
        }
        return out
    }

    private static func rope(_ x: [Float], _ op: baton_op, _ positions: [UInt32], _ width: Int) -> [Float] {
        var out = x
        let (heads, dim, turned) = (Int(op.heads), Int(op.head_dim), Int(op.rope_dims))
        for (token, position) in positions.enumerated() {
            for head in 0..<heads {
                let base = token * width + head * dim
                for pair in 0..<turned / 2 {
                    let (a, b) = op.rope_style == 1 ? (base + 2 * pair, base + 2 * pair + 1) : (base + pair, base + pair + turned / 2)
                    let angle = Double(position) * Double(op.rope_scale) * pow(Double(op.rope_base), -2 * Double(pair) / Double(turned))
                    out[a] = Float(Double(x[a]) * cos(angle) - Double(x[b]) * sin(angle))
                    out[b] = Float(Double(x[a]) * sin(angle) + Double(x[b]) * cos(angle))
                }
            }
        }
        return out
    }

    private mutating func attention(_ op: baton_op, _ q: [Float], _ k: [Float], _ v: [Float], _ feed: Feed, _ names: [Int]) -> [Float] {
        let (heads, kvHeads, dim) = (Int(op.heads), Int(op.kv_heads), Int(op.head_dim))
        let kvWidth = kvHeads * dim
        var out = [Float](repeating: 0, count: q.count)
        for (token, position) in feed.positions.enumerated() {
            let name = names[Int(feed.sequences[token])]
            let row = (k: Array(k[token * kvWidth..<(token + 1) * kvWidth]), v: Array(v[token * kvWidth..<(token + 1) * kvWidth]))
            var past = kv[name]?[op.layer] ?? []
            past.removeLast(max(0, past.count - Int(position)))
            past.append(row)
            kv[name, default: [:]][op.layer] = past
            let first = op.window > 0 ? max(0, past.count - Int(op.window)) : 0
            let seen = Array(past[first...])
            for head in 0..<heads {
                let place = token * heads * dim + head * dim
                let made = Self.attend(Array(q[place..<place + dim]), seen, head / (heads / kvHeads) * dim, op)
                out.replaceSubrange(place..<place + dim, with: made)
            }
        }
        return out
    }

    /// One head of one token over what it sees; `at` is where its KV head begins in a row.
    private static func attend(_ query: [Float], _ past: [(k: [Float], v: [Float])], _ at: Int, _ op: baton_op) -> [Float] {
        let scores = past.map { row -> Double in
            let dot = dot(query, row.k, at) * Double(op.scale)
            return op.cap > 0 ? Double(op.cap) * tanh(dot / Double(op.cap)) : dot
        }
        let top = scores.max() ?? 0
        let weights = scores.map { exp($0 - top) }
        let sum = weights.reduce(0, +)
        var out = [Double](repeating: 0, count: query.count)
        for (weight, row) in zip(weights, past) { add(row.v, at, times: weight / sum, to: &out) }
        return out.map { Float($0) }
    }

    private static func dot(_ a: [Float], _ b: [Float], _ at: Int) -> Double {
        a.withUnsafeBufferPointer { a in
            b.withUnsafeBufferPointer { b in
                var (sum, i) = (0.0, 0)
                while i < a.count { sum += Double(a[i]) * Double(b[at + i]); i += 1 }
                return sum
            }
        }
    }

    private static func add(_ row: [Float], _ at: Int, times weight: Double, to out: inout [Double]) {
        out.withUnsafeMutableBufferPointer { out in
            row.withUnsafeBufferPointer { row in
                var i = 0
                while i < out.count { out[i] += weight * Double(row[at + i]); i += 1 }
            }
        }
    }
}
