// SPDX-License-Identifier: Apache-2.0

/// The Llama family as GGUF stores it: pre-norm blocks of grouped-query attention with rotary embedding and a gated feed-forward.
///
/// GGUF files of this family have the rows of the query and key weights permuted so that rotary embedding turns neighbours
/// (2i, 2i + 1): the style is interleaved.
enum LlamaArchitecture: Architecture {
    static let name = "llama"

    /// The program of a contiguous part of the layers, so that a stage may be split over several devices. A part that begins at layer 0
    /// takes tokens, any other takes hidden states `[T, hidden]`; a part that ends at the last layer gives logits `[R, vocabulary]`,
    /// any other gives hidden states `[T, hidden]`.
    /// Errors: a weight that is missing or has another shape, naming file, tensor, found and wanted shape; an empty range of layers.
    static func program(
        for hyperparameters: Hyperparameters, layers: Range<Int>, weights: WeightSource
    ) throws(ModelError) -> ProgramDescription {
        guard !layers.isEmpty, layers.lowerBound >= 0, layers.upperBound <= hyperparameters.layers else {
            throw ModelError(
                .invalid, weights.name, "was asked for layers \(layers.lowerBound)..<\(layers.upperBound) of its \(hyperparameters.layers)",
                remedy: "name a part of 0..<\(hyperparameters.layers)")
        }
        try weights.refuse("rope_freqs.weight", because: "rotary frequency factors (Llama 3.1 scaling) are not supported")
        var builder = ProgramBuilder(hyperparameters, layers: layers, weights: weights)
        var x = try layers.lowerBound == 0 ? embedded(&builder) : builder.hiddenInput()
        for layer in layers {
            x = try attended(&builder, layer, x)
            x = try fed(&builder, layer, x)
        }
        let output = try layers.upperBound == hyperparameters.layers ? logits(&builder, x) : x
        return builder.finish(output: output)
    }

    private static func embedded(_ builder: inout ProgramBuilder) throws(ModelError) -> Int {
        let h = builder.hyperparameters
        let table = try builder.weight("token_embd.weight", [h.vocabulary, h.hidden])
        return builder.append(.embed, [table], "embedding", [.tokens, .fixed(h.hidden)])
    }

    /// x + attention(norm(x)).
    private static func attended(_ builder: inout ProgramBuilder, _ layer: Int, _ x: Int) throws(ModelError) -> Int {
        let h = builder.hyperparameters
        let queries = h.heads * h.headDim, keys = h.kvHeads * h.headDim
        let normed = try builder.norm(x, "blk.\(layer).attn_norm", layer: layer)
        let q = try builder.linear(normed, "blk.\(layer).attn_q", from: h.hidden, to: queries, layer: layer)
        let k = try builder.linear(normed, "blk.\(layer).attn_k", from: h.hidden, to: keys, layer: layer)
        let v = try builder.linear(normed, "blk.\(layer).attn_v", from: h.hidden, to: keys, layer: layer)
        let turnedQ = builder.rope(q, "blk.\(layer).q_rope", heads: h.heads, style: .interleaved, layer: layer)
        let turnedK = builder.rope(k, "blk.\(layer).k_rope", heads: h.kvHeads, style: .interleaved, layer: layer)
        let attention = ProgramDescription.Attention(
            heads: h.heads, kvHeads: h.kvHeads, headDim: h.headDim, scale: 1 / Float(h.headDim).squareRoot())
        let mixed = builder.append(
            .attention(attention), [turnedQ, turnedK, v], "blk.\(layer).attention", [.tokens, .fixed(queries)], layer: layer)
        let projected = try builder.linear(mixed, "blk.\(layer).attn_output", from: queries, to: h.hidden, layer: layer)
        return builder.append(.add, [x, projected], "blk.\(layer).attention_sum", [.tokens, .fixed(h.hidden)], layer: layer)
    }

    /// x + down(silu(gate(norm(x))) * up(norm(x))).
    private static func fed(_ builder: inout ProgramBuilder, _ layer: Int, _ x: Int) throws(ModelError) -> Int {
        let h = builder.hyperparameters
        let normed = try builder.norm(x, "blk.\(layer).ffn_norm", layer: layer)
        let gate = try builder.linear(normed, "blk.\(layer).ffn_gate", from: h.hidden, to: h.feedForward, layer: layer)
        let up = try builder.linear(normed, "blk.\(layer).ffn_up", from: h.hidden, to: h.feedForward, layer: layer)
        let gated = builder.append(.swiglu, [gate, up], "blk.\(layer).swiglu", [.tokens, .fixed(h.feedForward)], layer: layer)
        let down = try builder.linear(gated, "blk.\(layer).ffn_down", from: h.feedForward, to: h.hidden, layer: layer)
        return builder.append(.add, [x, down], "blk.\(layer).output", [.tokens, .fixed(h.hidden)], layer: layer)
    }

    /// The rows that need logits, normed and projected on the vocabulary.
    private static func logits(_ builder: inout ProgramBuilder, _ x: Int) throws(ModelError) -> Int {
        let h = builder.hyperparameters
        let rows = builder.append(.selectRows, [x], "rows", [.rows, .fixed(h.hidden)])
        let normed = try builder.norm(rows, "output_norm", layer: nil)
        let head = h.tiedEmbeddings ? "token_embd.weight" : "output.weight"
        let weight = try builder.weight(head, [h.vocabulary, h.hidden])
        return builder.append(.linear, [normed, weight], "logits", [.rows, .fixed(h.vocabulary)])
    }
}
