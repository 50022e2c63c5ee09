import CDriver

/// Which clock a time is on. Wall and modelled times are never added or shown as one figure.
public enum Clock: String, Sendable, Hashable, Encodable {
    case wall, modelled
    init(_ raw: baton_clock) { self = raw == BATON_CLOCK_MODELLED ? .modelled : .wall }
}

/// What stands behind a device.
public enum DeviceEngine: String, Sendable, Hashable, Encodable {
    case silicon, model, reference
    init(_ raw: baton_engine) { self = raw == BATON_ENGINE_SILICON ? .silicon : raw == BATON_ENGINE_MODEL ? .model : .reference }
}

/// What a device says of itself, before or after it is opened.
public struct DeviceInfo: Sendable, Hashable {
    public var name: String
    public var vendor: String
    public var engine: DeviceEngine
    public var clock: Clock
    /// Bytes for weights, KV and workspace.
    public var memoryBytes: UInt64
    public var weightDTypes: DTypeSet
    public var computeDTypes: DTypeSet
    public var kvDTypes: DTypeSet
    /// What weights become on the device; nil when they stay as given.
    public var residentDType: DType?
    public var kvDType: DType
    /// Token buckets, ascending; empty when shapes are dynamic.
    public var buckets: [Int]
    /// Tokens and sequences of one submit.
    public var maxBatchTokens: Int
    public var maxBatchSequences: Int
    /// KV tokens of one sequence; 0 when memory alone bounds it.
    public var maxContext: Int
    public var kvBlockTokens: Int
    public var queueCount: Int
    public var queueDepth: Int
    /// Chips or wafers behind this one device.
    public var unitCount: Int

    init(_ raw: baton_device_info) {
        name = String(raw.name)
        vendor = String(raw.vendor)
        engine = DeviceEngine(raw.engine)
        clock = Clock(raw.clock)
        memoryBytes = raw.memory_bytes
        weightDTypes = DTypeSet(mask: raw.weight_dtypes)
        computeDTypes = DTypeSet(mask: raw.compute_dtypes)
        kvDTypes = DTypeSet(mask: raw.kv_dtypes)
        residentDType = raw.resident_dtype == 0 ? nil : DType(rawValue: raw.resident_dtype)
        kvDType = raw.kv_dtype == 0 ? .f16 : DType(rawValue: raw.kv_dtype)
        let list = UnsafeBufferPointer(start: raw.buckets, count: raw.buckets == nil ? 0 : Int(min(raw.bucket_count, 4096)))
        buckets = raw.shape_rule == BATON_SHAPES_BUCKETS ? list.map(Int.init) : []
        maxBatchTokens = Int(raw.max_batch_tokens)
        maxBatchSequences = Int(raw.max_batch_sequences)
        maxContext = Int(raw.max_context)
        kvBlockTokens = max(1, Int(raw.kv_block_tokens))
        queueCount = max(1, Int(raw.queue_count))
        queueDepth = max(1, Int(raw.queue_depth))
        unitCount = max(1, Int(raw.unit_count))
    }
}
