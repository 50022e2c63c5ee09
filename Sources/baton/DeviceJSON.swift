import Driver
import Engine

/// A device as `baton devices` shows it.
struct DeviceJSON: Encodable {
    var device, driver, name, vendor, engine, clock, kv_dtype, shapes, memory: String
    var memory_bytes: UInt64
    var weight_dtypes, kv_dtypes: [String]
    var buckets: [Int]
    var max_batch_tokens, max_batch_sequences, kv_block_tokens, queue_count, queue_depth, unit_count: Int

    init(device: String, driver: String, _ info: DeviceInfo) {
        self.device = device
        self.driver = driver
        name = info.name
        vendor = info.vendor
        engine = info.engine.rawValue
        clock = info.clock.rawValue
        kv_dtype = info.kvDType.description
        shapes = info.buckets.isEmpty ? "dynamic" : "buckets"
        memory = ByteCount(info.memoryBytes).description
        memory_bytes = info.memoryBytes
        weight_dtypes = info.weightDTypes.members.map(\.description)
        kv_dtypes = info.kvDTypes.members.map(\.description)
        buckets = info.buckets
        max_batch_tokens = info.maxBatchTokens
        max_batch_sequences = info.maxBatchSequences
        kv_block_tokens = info.kvBlockTokens
        queue_count = info.queueCount
        queue_depth = info.queueDepth
        unit_count = info.unitCount
    }
}
