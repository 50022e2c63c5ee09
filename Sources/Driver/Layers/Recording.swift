import CDriver
import FoundationEssentials

/// The calls of a run as a file holds them: one JSON object a line, the first of which says what the file is; bytes lie in a file beside it, or where they lay already.
struct Recording: Sendable {
    static let version = 1

    struct Header: Codable, Sendable {
        var baton_recording: Int
        var driver: String
        var device: String
    }

    /// Bytes of a call: a range of the `.data` file beside the recording, or of the file at `path`.
    struct Bytes: Codable, Sendable {
        var path: String?
        var offset: UInt64
        var length: UInt64
        var sha256: String?
    }
    struct Point: Codable, Sendable {
        var timeline: Int
        var value: UInt64
    }
    struct Sync: Codable, Sendable {
        var waits: [Point]
        var signals: [Point]
        var queue: UInt32
        var layers: Point?
    }
    struct Tensor: Codable, Sendable {
        var role: Int32
        var name: String
        var dtype: UInt32
        var dims: [Int64]
        var buffer: Int?
        var offset: UInt64
    }
    struct Operation: Codable, Sendable {
        var kind, output, heads, kv_heads, head_dim, rope_dims, window: UInt32
        var layer, rope_style: Int32
        var inputs: [UInt32]
        var rope_base, rope_scale, epsilon, scale, cap: Float
    }
    struct Program: Codable, Sendable {
        var tensors: [Tensor]
        var operations: [Operation]
        var first_layer, layer_count, kv_heads, head_dim, max_tokens, max_sequences, max_context: UInt32
    }
    struct Binding: Codable, Sendable {
        var tensor: UInt32
        var buffer: Int
        var offset: UInt64
    }
    struct Batch: Codable, Sendable {
        var tokens, positions, sequences, block_tables, rows: [UInt32]
        var sequence_count, block_table_stride: UInt32
        var bindings: [Binding]
        var pool: Int?
        var tag: UInt64
    }
    struct Pool: Codable, Sendable {
        var dtype, block_count, block_tokens, first_layer, layers, kv_heads, head_dim: UInt32
        var rope_style: Int32
    }
    struct Layout: Codable, Sendable {
        var dtype: UInt32
        var axes: [UInt8]
        var block_tokens, kv_heads, head_dim, layers, rope_applied, scale_mode: UInt32
        var rope_style: Int32
    }
    struct Range: Codable, Sendable {
        var first_layer, layer_count, token_count: UInt32
        var blocks: [UInt32]
    }
    struct Option: Codable, Sendable {
        var key, value: String
    }

    /// One call. Handles are numbers, given when what they name was made; fields that a call does not use are left out.
    struct Line: Codable, Sendable {
        /// In the order of starting; a wait's, a read's and a result's in the order of ending.
        var n: Int
        /// A name of `CallName`, or `exported`: what an export had written when its signal came.
        var call: String
        var device: Int
        var code: Int32 = 0
        var made: Int?
        var on: Int?
        var other: Int?
        var numbers: [UInt64]?
        var options: [Option]?
        var bytes: Bytes?
        var program: Program?
        var batch: Batch?
        var sync: Sync?
        var pool: Pool?
        var layout: Layout?
        var range: Range?
    }

    var header: Header
    var lines: [Line]
    /// Of the `.data` file.
    var dataPath: String

    /// Reads a recording. Errors: what is not one, with the line.
    init(reading path: String) throws(DriverError) {
        guard let data = try? Data(contentsOf: URL(filePath: path)) else { throw Self.wrong(path, "cannot be read; give a file that layer record wrote") }
        let rows = data.split(separator: UInt8(ascii: "\n"))
        let decoder = JSONDecoder()
        guard let first = rows.first, let header = try? decoder.decode(Header.self, from: first), header.baton_recording == Self.version else {
            throw Self.wrong(path, "does not begin as a recording of version \(Self.version) does; give a file that layer record wrote")
        }
        var lines: [Line] = []
        for (index, row) in rows.dropFirst().enumerated() {
            guard let line = try? decoder.decode(Line.self, from: row) else { throw Self.wrong(path, "line \(index + 2) is not a call; the file is damaged") }
            lines.append(line)
        }
        self.header = header
        self.lines = lines.sorted { $0.n < $1.n }
        dataPath = path + ".data"
    }

    static func wrong(_ path: String, _ words: String) -> DriverError {
        DriverError(.invalidArgument, driver: "host", call: "replay", detail: "\(path) \(words)")
    }
}

extension Recording.Layout {
    init(_ raw: baton_kv_layout) {
        self.init(
            dtype: raw.dtype, axes: withUnsafeBytes(of: raw.axes) { Array($0.prefix(6)) }, block_tokens: raw.block_tokens, kv_heads: raw.kv_heads,
            head_dim: raw.head_dim, layers: raw.layers, rope_applied: raw.rope_applied, scale_mode: raw.scale_mode, rope_style: raw.rope_style)
    }

    var raw: baton_kv_layout {
        var raw = baton_kv_layout.sized()
        raw.dtype = dtype
        withUnsafeMutableBytes(of: &raw.axes) { $0.copyBytes(from: axes.prefix(8)) }
        (raw.block_tokens, raw.kv_heads, raw.head_dim, raw.layers) = (block_tokens, kv_heads, head_dim, layers)
        (raw.rope_applied, raw.scale_mode, raw.rope_style) = (rope_applied, scale_mode, rope_style)
        return raw
    }
}

extension Recording.Pool {
    init(_ raw: baton_kv_pool_desc) {
        self.init(
            dtype: raw.dtype, block_count: raw.block_count, block_tokens: raw.block_tokens, first_layer: raw.first_layer, layers: raw.layers,
            kv_heads: raw.kv_heads, head_dim: raw.head_dim, rope_style: raw.rope_style)
    }

    var raw: baton_kv_pool_desc {
        var raw = baton_kv_pool_desc.sized()
        (raw.dtype, raw.block_count, raw.block_tokens) = (dtype, block_count, block_tokens)
        (raw.first_layer, raw.layers, raw.kv_heads, raw.head_dim, raw.rope_style) = (first_layer, layers, kv_heads, head_dim, rope_style)
        return raw
    }
}

extension Recording.Program {
    /// - Parameter buffer: the number of a weight's buffer.
    init(_ desc: UnsafePointer<baton_program_desc>, buffer: (OpaquePointer) -> Int?) {
        let raw = desc.pointee
        tensors = ContractArray.tensors(desc).map { tensor in
            Recording.Tensor(
                role: tensor.role, name: String(tensor.name), dtype: tensor.dtype, dims: [tensor.dims.0, tensor.dims.1].prefix(Int(min(tensor.rank, 2))).map { $0 },
                buffer: tensor.buffer.flatMap(buffer), offset: tensor.offset)
        }
        operations = ContractArray.ops(desc).map { op in
            Recording.Operation(
                kind: op.kind, output: op.output, heads: op.heads, kv_heads: op.kv_heads, head_dim: op.head_dim, rope_dims: op.rope_dims, window: op.window,
                layer: op.layer, rope_style: op.rope_style, inputs: [op.inputs.0, op.inputs.1, op.inputs.2, op.inputs.3].prefix(Int(min(op.input_count, 4))).map { $0 },
                rope_base: op.rope_base, rope_scale: op.rope_scale, epsilon: op.epsilon, scale: op.scale, cap: op.cap)
        }
        (first_layer, layer_count, kv_heads, head_dim) = (raw.first_layer, raw.layer_count, raw.kv_heads, raw.head_dim)
        (max_tokens, max_sequences, max_context) = (raw.max_tokens, raw.max_sequences, raw.max_context)
    }

    /// The program as the host builds them; weight buffers are numbered in the order of `buffers`.
    func builder() -> (builder: ProgramBuilder, buffers: [Int])? {
        var builder = ProgramBuilder(
            layers: Int(first_layer)..<Int(first_layer) + Int(layer_count), kvHeads: Int(kv_heads), headDim: Int(head_dim), maxTokens: Int(max_tokens),
            maxSequences: Int(max_sequences), maxContext: Int(max_context))
        var buffers: [Int] = []
        let roles: [Int32: ProgramBuilder.Role] = [1: .weight, 2: .activation, 3: .input, 4: .output]
        for tensor in tensors {
            guard let role = roles[tensor.role] else { return nil }
            var place: Int?
            if let buffer = tensor.buffer {
                place = buffers.firstIndex(of: buffer) ?? buffers.count
                if place == buffers.count { buffers.append(buffer) }
            }
            let shape = tensor.dims.map { dim in dim == -1 ? ProgramBuilder.Dimension.tokens : dim == -2 ? .rows : .fixed(Int(dim)) }
            builder.tensors.append(.init(name: tensor.name, role: role, dtype: DType(rawValue: tensor.dtype), shape: shape, buffer: place, offset: tensor.offset))
        }
        for op in operations {
            guard let kind = ProgramBuilder.Operation.Kind(rawValue: op.kind) else { return nil }
            var made = ProgramBuilder.Operation(kind, layer: op.layer < 0 ? nil : Int(op.layer), inputs: op.inputs.map(Int.init), output: Int(op.output))
            (made.heads, made.kvHeads, made.headDim, made.ropeDims) = (Int(op.heads), Int(op.kv_heads), Int(op.head_dim), Int(op.rope_dims))
            made.ropeStyle = RopeStyle(rawValue: op.rope_style) ?? .interleaved
            (made.ropeBase, made.ropeScale, made.epsilon, made.scale, made.cap) = (op.rope_base, op.rope_scale, op.epsilon, op.scale, op.cap)
            made.window = Int(op.window)
            builder.operations.append(made)
        }
        return (builder, buffers)
    }
}
