import CDriver

/// What one batch is made of: some tokens of each of several sequences.
struct Feed {
    /// Tokens of one sequence: where they start, and its KV blocks.
    struct Piece {
        var tokens: [UInt32]
        var position = 0
        var blocks: [UInt32] = []
    }

    var pieces: [Piece]
    /// Token indices whose output is wanted.
    var rows: [UInt32]
    var tokens: [UInt32]
    var positions: [UInt32]
    var sequences: [UInt32]
    var tables: [UInt32]
    var stride: Int

    init(_ pieces: [Piece], rows: [UInt32]? = nil) {
        self.pieces = pieces
        tokens = pieces.flatMap(\.tokens)
        positions = pieces.flatMap { piece in piece.tokens.indices.map { UInt32(piece.position + $0) } }
        sequences = pieces.enumerated().flatMap { index, piece in piece.tokens.map { _ in UInt32(index) } }
        let stride = max(1, pieces.map(\.blocks.count).max() ?? 0)
        tables = pieces.flatMap { $0.blocks + [UInt32](repeating: 0, count: stride - $0.blocks.count) }
        self.stride = stride
        self.rows = rows ?? tokens.indices.map(UInt32.init)
    }

    /// One sequence of `count` tokens, for programs without KV.
    init(plain count: Int, rows: [UInt32]? = nil) { self.init([Piece(tokens: [UInt32](repeating: 0, count: count))], rows: rows) }

    func lend<R>(pool: OpaquePointer?, _ bindings: [baton_binding], padding: Int = 0, _ body: (UnsafeMutablePointer<baton_batch>) throws -> R) rethrows -> R {
        var raw = baton_batch.sized()
        raw.token_count = UInt32(positions.count)
        raw.sequence_count = UInt32(pieces.count)
        raw.row_count = UInt32(rows.count)
        raw.block_table_stride = UInt32(stride)
        raw.binding_count = UInt32(bindings.count)
        raw.pool = pool
        return try tokens.withUnsafeBufferPointer { tokens in
            try positions.withUnsafeBufferPointer { positions in
                try sequences.withUnsafeBufferPointer { sequences in
                    try tables.withUnsafeBufferPointer { tables in
                        try rows.withUnsafeBufferPointer { rows in
                            try Spread(bindings, padding).lend { bindings in
                                raw.tokens = tokens.baseAddress
                                raw.positions = positions.baseAddress
                                raw.sequences = sequences.baseAddress
                                raw.block_tables = tables.baseAddress
                                raw.rows = rows.baseAddress
                                raw.bindings = bindings
                                return try body(&raw)
                            }
                        }
                    }
                }
            }
        }
    }
}
