import CDriver

/// What a device says of itself; the Swift side of `baton_device_info`.
public struct DeviceDescription: Sendable, Hashable {
    public enum Engine: Int32, Sendable, Hashable { case silicon = 1, model = 2, reference = 3 }

    public enum Shapes: Sendable, Hashable {
        /// Any token count up to `maxBatchTokens`.
        case dynamic
        /// One compiled program per token bucket; ascending.
        case buckets([UInt32])
    }

    public var engine: Engine = .reference
    /// Of the product.
    public var name = ""
    public var vendor = ""
    /// For weights, KV and workspace.
    public var memoryBytes: UInt64 = 0
    /// Weights taken as they are.
    public var weightDTypes: DTypes = []
    public var computeDTypes: DTypes = []
    public var kvDTypes: DTypes = []
    /// What weights become on the device; nil: they stay as given.
    public var residentDType: DType?
    /// The KV dtype it prefers.
    public var kvDType: DType = .f16
    public var shapes: Shapes = .dynamic
    public var maxBatchTokens: UInt32 = 0
    public var maxBatchSequences: UInt32 = 0
    /// KV tokens of one sequence; 0: bounded by memory alone.
    public var maxContext: UInt32 = 0
    public var kvBlockTokens: UInt32 = 16
    public var queueCount: UInt32 = 1
    public var queueDepth: UInt32 = 64
    public var unitCount: UInt32 = 1
    public var clock: Clock = .wall

    public init() {}

    /// Strings and arrays in it live as long as the process.
    var contract: baton_device_info {
        var info = baton_device_info.sized()
        info.engine = engine.rawValue
        info.name = Interned.text(name)
        info.vendor = Interned.text(vendor)
        info.memory_bytes = memoryBytes
        info.weight_dtypes = weightDTypes.rawValue
        info.compute_dtypes = computeDTypes.rawValue
        info.kv_dtypes = kvDTypes.rawValue
        info.resident_dtype = residentDType?.rawValue ?? 0
        info.kv_dtype = kvDType.rawValue
        info.shape_rule = baton_shape_rule(BATON_SHAPES_DYNAMIC)
        if case .buckets(let buckets) = shapes {
            info.shape_rule = baton_shape_rule(BATON_SHAPES_BUCKETS)
            info.bucket_count = UInt32(buckets.count)
            info.buckets = Interned.numbers(buckets)
        }
        info.max_batch_tokens = maxBatchTokens
        info.max_batch_sequences = maxBatchSequences
        info.max_context = maxContext
        info.kv_block_tokens = kvBlockTokens
        info.queue_count = queueCount
        info.queue_depth = queueDepth
        info.unit_count = unitCount
        info.clock = clock.raw
        return info
    }
}
