import CDriver

/// A compiled program. Owned once; released when it goes, after its last submit has ended.
public struct Program: ~Copyable, @unchecked Sendable {
    public let device: Device
    /// Token buckets it was compiled for; empty when shapes are dynamic.
    public let buckets: [Int]
    /// Device bytes its weights and its running take.
    public let weightBytes: UInt64
    public let workspaceBytes: UInt64
    let handle: OpaquePointer

    /// Compiles `builder` for the device. Blocks, perhaps for long; `progress` hears fractions 0...1 on the calling thread or another.
    /// `weights` are what `ProgramBuilder.Tensor.buffer` counts in; they must outlive the program.
    public init(
        compiling builder: ProgramBuilder, weights: borrowing WeightBuffers, on device: Device,
        progress: (@Sendable (Double) -> Void)? = nil
    ) throws(DriverError) {
        let compile = try slot(device.library.program.compile, device.library.name, "compile")
        let box = progress.map(ProgressBox.init)
        var handle: OpaquePointer?
        try contractCall(device.library.name, "compile") { status in
            builder.withContract(handles: weights.handles) { desc in
                var copy = desc.pointee
                if let box {
                    copy.progress_user = Unmanaged.passUnretained(box).toOpaque()
                    copy.progress = { user, fraction in
                        guard let user else { return }
                        Unmanaged<ProgressBox>.fromOpaque(user).takeUnretainedValue().report(fraction)
                    }
                }
                return compile(device.handle, &copy, &handle, status)
            }
        }
        let made = try given(handle, device, "compile")
        var info = baton_program_info.sized()
        if let read = device.library.program.info { _ = read(device.handle, made, &info, nil) }
        self.device = device
        self.handle = made
        buckets = UnsafeBufferPointer(start: info.buckets, count: info.buckets == nil ? 0 : Int(min(info.bucket_count, 4096))).map(Int.init)
        weightBytes = info.weight_bytes
        workspaceBytes = info.workspace_bytes
        withExtendedLifetime(box) {}
    }

    /// Queues one batch and returns at once. A full queue is resourceExhausted. `bindings` and `pool` stay alive until the signal.
    public borrowing func submit(_ batch: borrowing Batch, pool: borrowing KVPool, sync: Sync) throws(DriverError) {
        let submit = try slot(device.library.program.submit, device.library.name, "submit")
        try contractCall(device.library.name, "submit") { status in
            batch.withContract(pool: pool.handle) { batch in
                sync.withContract { submit(device.handle, handle, batch, $0, status) }
            }
        }
    }

    deinit { device.library.program.release?(device.handle, handle) }
}

private final class ProgressBox: Sendable {
    let report: @Sendable (Double) -> Void
    init(_ report: @escaping @Sendable (Double) -> Void) { self.report = report }
}

/// The weight buffers of one device, owned together.
public final class WeightBuffers: @unchecked Sendable {
    private let device: Device
    private(set) var handles: [OpaquePointer] = []
    /// Bytes held in each.
    private var owned: [Owned] = []

    private final class Owned {
        let buffer: Buffer
        init(_ buffer: consuming Buffer) { self.buffer = buffer }
    }

    public init(on device: Device) { self.device = device }

    /// Takes a buffer of the same device; gives the number that `ProgramBuilder.Tensor.buffer` refers to it by.
    public func append(_ buffer: consuming Buffer) -> Int {
        handles.append(buffer.handle)
        owned.append(Owned(buffer))
        return owned.count - 1
    }
}

/// One batch of tokens: chunked prefill, batched decode and mixtures are all this.
public struct Batch: ~Copyable {
    /// [T] token ids; empty when the program takes hidden states.
    public var tokens: [UInt32] = []
    /// [T] from 0, ascending by one within a sequence.
    public var positions: [UInt32] = []
    /// [T] 0 ..< sequenceCount; the tokens of a sequence are contiguous.
    public var sequences: [UInt32] = []
    /// [sequenceCount][blockTableStride] block indices.
    public var blockTables: [UInt32] = []
    public var blockTableStride = 0
    public var sequenceCount = 1
    /// [R] token indices whose output is wanted.
    public var rows: [UInt32] = []
    /// The host's number for this batch, for logs and traces.
    public var tag: UInt64 = 0
    private var bindings: [baton_binding] = []

    public init() {}

    /// Binds an input or output tensor of the program to a buffer, from byte `offset`.
    public mutating func bind(_ tensor: Int, to buffer: borrowing Buffer, at offset: Int = 0) { bind(tensor, to: buffer.handle, at: UInt64(offset)) }

    mutating func bind(_ tensor: Int, to buffer: OpaquePointer, at offset: UInt64) {
        var binding = baton_binding.sized()
        binding.tensor = UInt32(tensor)
        binding.buffer = buffer
        binding.offset = offset
        bindings.append(binding)
    }

    public mutating func removeBindings() { bindings.removeAll(keepingCapacity: true) }

    borrowing func withContract<R>(pool: OpaquePointer?, _ body: (UnsafePointer<baton_batch>) -> R) -> R {
        var raw = baton_batch.sized()
        raw.token_count = UInt32(positions.count)
        raw.sequence_count = UInt32(sequenceCount)
        raw.row_count = UInt32(rows.count)
        raw.block_table_stride = UInt32(blockTableStride)
        raw.binding_count = UInt32(bindings.count)
        raw.pool = pool
        raw.tag = tag
        return tokens.withUnsafeBufferPointer { tokens in
            positions.withUnsafeBufferPointer { positions in
                sequences.withUnsafeBufferPointer { sequences in
                    blockTables.withUnsafeBufferPointer { tables in
                        rows.withUnsafeBufferPointer { rows in
                            bindings.withUnsafeBufferPointer { bindings in
                                raw.tokens = tokens.isEmpty ? nil : tokens.baseAddress
                                raw.positions = positions.baseAddress
                                raw.sequences = sequences.baseAddress
                                raw.block_tables = tables.baseAddress
                                raw.rows = rows.baseAddress
                                raw.bindings = bindings.baseAddress
                                return body(&raw)
                            }
                        }
                    }
                }
            }
        }
    }
}
