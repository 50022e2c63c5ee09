public import CDriver
import DriverKit

@_cdecl("baton_driver_entry")
public func entry(_ host: UnsafePointer<baton_host>?, _ out: UnsafeMutablePointer<baton_driver>?) -> baton_code {
    DriverKit.enter(CS3Driver.self, host, out)
}

/// A model of Cerebras CS-3: real results in f16 from the reference, the wafer's memory and queues, and a modelled clock.
/// How external KV enters a CS-3 is not public: importing it at the system's I/O rate is this model's assumption.
enum CS3Driver: DriverDefinition {
    static let name = "cs3"
    static let version = "1.0.0"
    static let vendor = "Baton (a model of Cerebras CS-3)"

    static let options = [
        OptionDescription("systems", .integer, default: "1", help: "CS-3 systems that hold the layers between them; memory grows with them.", min: 1, max: Double(CS3Facts.mostSystems)),
        OptionDescription("layer_us", .number, default: "\(CS3Facts.layerMicroseconds)", unit: "us", help: "Time of one layer in decode; inferred from published rates.", min: CS3Facts.layerMicrosecondsRange.lowerBound, max: CS3Facts.layerMicrosecondsRange.upperBound),
        OptionDescription("hop_us", .number, default: "\(CS3Facts.hopMicroseconds)", unit: "us", help: "From a wafer to the next; assumed, not public.", min: 0, max: 1e4),
        OptionDescription("mfu", .number, default: "\(CS3Facts.utilisation)", help: "Part of the dense fp16 peak that long batches reach; assumed.", min: 0.01, max: 1),
        OptionDescription("ingest_gbps", .number, default: "\(CS3Facts.ingestGigabytesPerSecond)", unit: "GB/s", help: "I/O of the system, by which KV is taken to enter; how it really does is not public.", min: 0.1, max: 1e5),
        OptionDescription("queue_depth", .integer, default: "64", help: "Submits a queue holds before it is full; assumed.", min: 1, max: 65_536),
        OptionDescription("fail_after", .integer, default: "-1", help: "Submits after which the device is lost, to test hosts; -1 for never.", min: -1, max: 1e9),
    ]

    static func describe(_ options: Options) throws(DriverFailure) -> DeviceDescription {
        let timing = CS3Timing(options)
        var device = DeviceDescription()
        device.engine = .model
        device.name = timing.systems == 1 ? "CS-3" : "CS-3 x \(timing.systems)"
        device.vendor = "Cerebras"
        device.memoryBytes = UInt64(timing.memoryBytes)
        device.weightDTypes = DTypes([.f32, .f16, .bf16, .q4_0, .q4_1, .q8_0])
        device.computeDTypes = DTypes([.f16])
        device.kvDTypes = DTypes([.f16])
        device.residentDType = .f16
        device.kvDType = .f16
        device.shapes = .dynamic
        device.maxBatchTokens = 512
        device.maxBatchSequences = 256
        device.kvBlockTokens = 16
        device.queueCount = 2
        device.queueDepth = UInt32(options.integer("queue_depth"))
        device.unitCount = UInt32(timing.systems)
        device.clock = .modelled
        return device
    }

    static func open(_ options: Options, host: Host) throws(DriverFailure) -> any DeviceImplementation {
        let info = try describe(options)
        let engine = try ReferenceEngine(host: host, options: [(key: "numerics", value: "f16"), (key: "kv_dtype", value: "f16")])
        return ModelDevice(info: info, timing: CS3Timing(options), engine: engine, failAfter: options.integer("fail_after"))
    }

    static var cost: (any CostImplementation.Type)? { CS3Cost.self }

    /// Each layer's K and V apart, a head's tokens together: an assumption, since the wafer's layout is not public.
    static func layouts(_ options: Options, _ pool: KVPoolDescription, importing: Bool) throws(DriverFailure) -> [KVLayout] {
        [try KVLayout(for: pool, dtype: .f16, axes: [.layer, .plane, .head, .block, .token, .dim])]
    }
}

/// Costs by the same formulas as the modelled clock.
enum CS3Cost: CostImplementation {
    static func estimate(_ options: Options, _ program: ProgramDescription, _ work: Work) throws(DriverFailure) -> Cost {
        try CS3Timing(options).estimate(program, work)
    }

    static func memory(_ options: Options, _ program: ProgramDescription, kvTokens: Int, kvDType: DType) throws(DriverFailure) -> MemoryNeed {
        CS3Timing(options).need(program, kvTokens: kvTokens, kvDType: kvDType)
    }
}
