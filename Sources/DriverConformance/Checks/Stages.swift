import CDriver

/// The programs that checks run.
enum Stages {
    /// Columns of the small programs.
    static let width = 32
    static let vocabulary = 40

    /// One operation over `inputs` of some widths; its output is the program's.
    static func single(_ kind: Stage.Operation, columns: [Int], to width: Int, _ change: (inout baton_op) -> Void = { _ in }) -> Stage {
        var stage = Stage()
        let inputs = columns.map { stage.input(Stage.tokens, $0) }
        stage.make(kind, inputs, Stage.tokens, width, output: true, change)
        return stage
    }

    /// x * 2.
    static func scale() -> Stage { single(.scale, columns: [width], to: width) { $0.scale = 2 } }

    /// A chain of square products, long enough that running it takes a while.
    static func heavy(width: Int, links: Int) -> Stage {
        var stage = Stage()
        var random = Random(11)
        let weight = stage.weight("w", [width, width], random.units(width * width, scale: 1 / Float(width)))
        var x = stage.input(Stage.tokens, width)
        for link in 0..<links { x = stage.make(.linear, [x, weight], Stage.tokens, width, output: link == links - 1) }
        return stage
    }

    /// Attention alone: q, k and v are inputs.
    static func attention(_ shape: (heads: Int, kv: Int, dim: Int) = (4, 2, 16), _ change: (inout baton_op) -> Void = { _ in }) -> Stage {
        var stage = Stage()
        stage.layers = 1
        stage.kvHeads = shape.kv
        stage.headDim = shape.dim
        let inputs = [shape.heads, shape.kv, shape.kv].map { stage.input(Stage.tokens, $0 * shape.dim) }
        stage.make(.attention, inputs, Stage.tokens, shape.heads * shape.dim, output: true, layer: 0) { op in
            op.heads = UInt32(shape.heads)
            op.kv_heads = UInt32(shape.kv)
            op.head_dim = UInt32(shape.dim)
            op.scale = 0.25
            change(&op)
        }
        return stage
    }

    /// A small whole model: embedding, `layers` layers with attention and a feed-forward part, and logits of the wanted rows.
    static func model(layers: Int = 2) -> Stage {
        var maker = ModelMaker(random: Random(7))
        maker.stage.layers = layers
        maker.stage.kvHeads = 2
        maker.stage.headDim = 16
        var x = maker.stage.make(.embed, [maker.weight("embed", [vocabulary, 64], 1)], Stage.tokens, 64)
        for layer in 0..<layers { x = maker.layer(Int32(layer), x) }
        x = maker.stage.make(.selectRows, [x], Stage.rows, 64)
        x = maker.norm(x, -1, Stage.rows)
        maker.stage.make(.linear, [x, maker.weight("head", [vocabulary, 64], 0.25)], Stage.rows, vocabulary, output: true)
        return maker.stage
    }

    private struct ModelMaker {
        var random: Random
        var stage = Stage()

        mutating func weight(_ name: String, _ dims: [Int], _ scale: Float) -> Int {
            stage.weight(name, dims, random.units(dims.reduce(1, *), scale: scale))
        }

        mutating func norm(_ x: Int, _ layer: Int32, _ rows: Int64) -> Int {
            let weight = stage.weight("norm\(stage.tensors.count)", [64], random.units(64, scale: 0.25).map { $0 + 1 })
            return stage.make(.rmsNorm, [x, weight], rows, 64, layer: layer) { $0.epsilon = 1e-5 }
        }

        mutating func linear(_ x: Int, _ layer: Int32, _ from: Int, _ to: Int) -> Int {
            stage.make(.linear, [x, weight("w\(stage.tensors.count)", [to, from], 0.25)], Stage.tokens, to, layer: layer)
        }

        mutating func rope(_ x: Int, _ layer: Int32, _ heads: Int) -> Int {
            stage.make(.rope, [x], Stage.tokens, heads * 16, layer: layer) { op in
                op.heads = UInt32(heads)
                op.head_dim = 16
                op.rope_dims = 16
                op.rope_style = 1
                op.rope_base = 10_000
                op.rope_scale = 1
            }
        }

        mutating func layer(_ layer: Int32, _ x: Int) -> Int {
            let normed = norm(x, layer, Stage.tokens)
            let q = rope(linear(normed, layer, 64, 64), layer, 4)
            let k = rope(linear(normed, layer, 64, 32), layer, 2)
            let v = linear(normed, layer, 64, 32)
            let attended = stage.make(.attention, [q, k, v], Stage.tokens, 64, layer: layer) { op in
                op.heads = 4
                op.kv_heads = 2
                op.head_dim = 16
                op.scale = 0.25
            }
            let mixed = stage.make(.add, [x, linear(attended, layer, 64, 64)], Stage.tokens, 64, layer: layer)
            let inner = norm(mixed, layer, Stage.tokens)
            let (gate, up) = (linear(inner, layer, 64, 96), linear(inner, layer, 64, 96))
            let fed = stage.make(.swiglu, [gate, up], Stage.tokens, 96, layer: layer)
            return stage.make(.add, [mixed, linear(fed, layer, 96, 64)], Stage.tokens, 64, layer: layer)
        }
    }
}
