import CDriver

/// A shape of work, without its data.
public struct Work: Sendable, Hashable {
    public enum Kind: Int32, Sendable, Hashable { case run = 1, kvExport = 2, kvImport = 3 }
    public var kind: Kind
    public var tokenCount: Int
    public var sequenceCount: Int
    /// KV tokens attended to, summed over the tokens.
    public var contextTokens: Int
    public var rowCount: Int
    public var pieceCount: Int
    public var bytes: Int

    public init(
        _ kind: Kind, tokenCount: Int = 0, sequenceCount: Int = 0, contextTokens: Int = 0, rowCount: Int = 0, pieceCount: Int = 0, bytes: Int = 0
    ) {
        self.kind = kind
        self.tokenCount = tokenCount
        self.sequenceCount = sequenceCount
        self.contextTokens = contextTokens
        self.rowCount = rowCount
        self.pieceCount = pieceCount
        self.bytes = bytes
    }

    init(_ raw: UnsafePointer<baton_work>?) throws(DriverFailure) {
        let work = try baton_work.read(raw, "the work")
        guard let kind = Kind(rawValue: work.kind) else { throw .invalid("work of the unknown kind \(work.kind); ask for 1 to 3") }
        guard work.context_tokens < 1 << 48, work.bytes < 1 << 56 else {
            throw DriverFailure(.outOfRange, "work over \(work.context_tokens) context tokens and \(work.bytes) bytes is more than any device holds")
        }
        guard kind != .run || work.token_count > 0 else { throw .invalid("a run of 0 tokens; ask for at least one") }
        self.init(
            kind, tokenCount: Int(work.token_count), sequenceCount: Int(work.sequence_count), contextTokens: Int(work.context_tokens),
            rowCount: Int(work.row_count), pieceCount: Int(work.piece_count), bytes: Int(work.bytes))
    }
}

/// What work would take.
public struct Cost: Sendable, Hashable {
    public var clock: Clock
    public var nanoseconds: UInt64
    /// Floating-point operations, a multiply-add counted as two.
    public var flops: UInt64
    /// Bytes moved through the device's memory.
    public var bytes: UInt64
    /// Tokens computed, padding to a bucket included.
    public var padded: UInt64

    public init(_ clock: Clock, nanoseconds: UInt64, flops: UInt64 = 0, bytes: UInt64 = 0, padded: UInt64 = 0) {
        self.clock = clock
        self.nanoseconds = nanoseconds
        self.flops = flops
        self.bytes = bytes
        self.padded = padded
    }

    var contract: baton_cost {
        baton_cost(size: UInt32(MemoryLayout<baton_cost>.size), clock: clock.raw, time_ns: nanoseconds, flops: flops, bytes: bytes, padded: padded)
    }
}

/// Memory a program and its KV would take on the device, bytes.
public struct MemoryNeed: Sendable, Hashable {
    public var weights: UInt64
    public var workspace: UInt64
    public var kv: UInt64
    public var available: UInt64

    public init(weights: UInt64, workspace: UInt64, kv: UInt64, available: UInt64) {
        self.weights = weights
        self.workspace = workspace
        self.kv = kv
        self.available = available
    }

    public var fits: Bool {
        let some = weights.addingReportingOverflow(workspace)
        let all = some.partialValue.addingReportingOverflow(kv)
        return !some.overflow && !all.overflow && all.partialValue <= available
    }

    var contract: baton_memory_need {
        baton_memory_need(
            size: UInt32(MemoryLayout<baton_memory_need>.size), fits: fits ? 1 : 0, weight_bytes: weights, workspace_bytes: workspace, kv_bytes: kv,
            available_bytes: available)
    }
}
