import CDriver

/// A shape of work, without its data.
public enum Work: Sendable, Hashable {
    /// One batch: T tokens of `sequences`, attending to `contextTokens` in all, `rows` outputs.
    case run(tokens: Int, sequences: Int, contextTokens: UInt64, rows: Int)
    case kvExport(bytes: UInt64, pieces: Int)
    case kvImport(bytes: UInt64, pieces: Int)

    var raw: baton_work {
        var raw = baton_work.sized()
        switch self {
        case .run(let tokens, let sequences, let contextTokens, let rows):
            raw.kind = 1
            raw.token_count = UInt32(clamping: tokens)
            raw.sequence_count = UInt32(clamping: sequences)
            raw.context_tokens = contextTokens
            raw.row_count = UInt32(clamping: rows)
        case .kvExport(let bytes, let pieces), .kvImport(let bytes, let pieces):
            if case .kvExport = self { raw.kind = 2 } else { raw.kind = 3 }
            raw.bytes = bytes
            raw.piece_count = UInt32(clamping: pieces)
        }
        return raw
    }
}

/// What a driver says work would take.
public struct Cost: Sendable, Hashable {
    public var clock: Clock
    public var nanoseconds: UInt64
    /// A multiply-add counts as two.
    public var flops: UInt64
    public var bytes: UInt64
    /// Tokens computed, padding to a bucket included.
    public var paddedTokens: UInt64

    public init(clock: Clock, nanoseconds: UInt64, flops: UInt64, bytes: UInt64, paddedTokens: UInt64) {
        self.clock = clock
        self.nanoseconds = nanoseconds
        self.flops = flops
        self.bytes = bytes
        self.paddedTokens = paddedTokens
    }
}

/// Memory a program and its KV would take on a device.
public struct MemoryNeed: Sendable, Hashable {
    public var fits: Bool
    public var weightBytes: UInt64
    public var workspaceBytes: UInt64
    public var kvBytes: UInt64
    public var availableBytes: UInt64
    public var neededBytes: UInt64 { weightBytes &+ workspaceBytes &+ kvBytes }
}

extension DriverLibrary {
    private func costTable() throws(DriverError) -> baton_cost_table {
        guard let cost else {
            throw DriverError(.unimplemented, driver: name, call: "cost", detail: "the driver has no interface \(BATON_COST_INTERFACE)")
        }
        return cost
    }

    /// Estimates `work` for a program like `program` on the device that `options` describe. Opens nothing.
    public func estimate(_ work: Work, program: ProgramBuilder, options: DriverOptions) throws(DriverError) -> Cost {
        let estimate = try slot(try costTable().estimate, name, "estimate")
        var raw = work.raw
        var out = baton_cost.sized()
        try contractCall(name, "estimate") { status in
            options.withContract { options in
                program.withContract(handles: []) { estimate(options, $0, &raw, &out, status) }
            }
        }
        return Cost(clock: Clock(out.clock), nanoseconds: out.time_ns, flops: out.flops, bytes: out.bytes, paddedTokens: out.padded)
    }

    /// What `program` and `kvTokens` tokens of KV need on the device that `options` describe. Opens nothing.
    public func memoryNeed(
        program: ProgramBuilder, kvTokens: Int, kvDType: DType, options: DriverOptions
    ) throws(DriverError) -> MemoryNeed {
        let memory = try slot(try costTable().memory, name, "memory")
        var out = baton_memory_need.sized()
        try contractCall(name, "memory") { status in
            options.withContract { options in
                program.withContract(handles: []) { memory(options, $0, UInt64(kvTokens), kvDType.rawValue, &out, status) }
            }
        }
        return MemoryNeed(
            fits: out.fits == 1, weightBytes: out.weight_bytes, workspaceBytes: out.workspace_bytes, kvBytes: out.kv_bytes,
            availableBytes: out.available_bytes)
    }
}
