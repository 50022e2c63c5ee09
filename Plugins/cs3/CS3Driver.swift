public import CDriver
import DriverKit

@_cdecl("baton_driver_entry")
public func entry(_ host: UnsafePointer<baton_host>?, _ out: UnsafeMutablePointer<baton_driver>?) -> baton_code {
    DriverKit.enter(CS3Driver.self, host, out)
}

/// A model of the Cerebras CS-3: real results from the reference in f16, the wafer's memory without spill, and a modelled clock.
/// Weights are taken in what the reference takes; compile repacks them to f16 and counts them as resident in 16 bits.
/// How external KV enters a CS-3 is not public: its layout and its bandwidth here are assumptions.
enum CS3Driver: DriverDefinition {
    static let name = "cs3"
    static let version = "1.0.0"
    static let vendor = "Cerebras (modelled by Baton)"

    static let options = [
        OptionDescription(
            "systems", .integer, default: "1", unit: "systems", help: "CS-3 systems that the layers are laid across; memory scales with them.", min: 1,
            max: Double(CS3Facts.mostSystems)),
        OptionDescription(
            "layer_us", .number, default: "\(Int(CS3Facts.layerMicroseconds))", unit: "us",
            help: "Time of one layer of a batch; inferred from published decode rates, 6 to 28.", min: CS3Facts.leastLayerMicroseconds,
            max: CS3Facts.mostLayerMicroseconds),
        OptionDescription(
            "hop_us", .number, default: "\(Int(CS3Facts.hopMicroseconds))", unit: "us",
            help: "Time from one system to the next, for each batch; an assumption, nothing is published.", min: 0, max: 1e6),
        OptionDescription(
            "mfu", .number, default: "\(CS3Facts.modelFLOPsUtilisation)", help: "Share of the 15.6 PFLOPS dense fp16 peak that is reached; assumed.",
            min: 0.01, max: 1),
        OptionDescription(
            "ingest_gbps", .number, default: "\(Int(CS3Facts.ingestGBps))", unit: "GB/s",
            help: "Bandwidth of KV in and out: 12 x 100 GbE of system I/O; how external KV enters a CS-3 is not public, this is an assumption.",
            min: 0.01, max: 100_000),
        OptionDescription("queue_depth", .integer, default: "64", unit: "submits", help: "Work a queue holds before it refuses more.", min: 1, max: 65_536),
        OptionDescription(
            "fail_after", .integer, default: "-1", unit: "batches",
            help: "Batches after which the device is lost, for trying out recovery; -1 is never.", min: -1, max: 1e15),
    ]

    static func model(_ options: Options) -> DeviceModel {
        let systems = options.integer("systems")
        var info = DeviceDescription()
        info.engine = .model
        info.name = "CS-3"
        info.vendor = "Cerebras"
        info.memoryBytes = UInt64(systems * CS3Facts.memoryBytes)
        info.weightDTypes = DTypes([.f32, .f16, .bf16, .q4_0, .q4_1, .q8_0])
        info.computeDTypes = DTypes([.f16])
        info.kvDTypes = DTypes([.f16])
        info.residentDType = .f16
        info.kvDType = .f16
        info.shapes = .dynamic
        info.maxBatchTokens = CS3Facts.batchTokens
        info.maxBatchSequences = CS3Facts.sequences
        info.kvBlockTokens = CS3Facts.blockTokens
        info.queueCount = 2
        info.queueDepth = UInt32(options.integer("queue_depth"))
        info.unitCount = UInt32(systems)
        info.clock = .modelled
        return DeviceModel(
            info: info, unit: .init(option: "systems", bytes: CS3Facts.memoryBytes, most: CS3Facts.mostSystems), clock: CS3Clock(options),
            exchangeAxes: exchangeAxes, failAfter: options.integer("fail_after"))
    }

    /// Assumption: KV lies by layer, then plane and head, so that a region of the wafer takes its heads in one run.
    static let exchangeAxes: [KVLayout.Axis] = [.layer, .plane, .head, .block, .token, .dim]

    static func describe(_ options: Options) throws(DriverFailure) -> DeviceDescription { model(options).info }

    static func open(_ options: Options, host: Host) throws(DriverFailure) -> any DeviceImplementation {
        ModelDevice(model(options), engine: try ReferenceEngine(host, [("numerics", "f16"), ("kv_dtype", "f16")]))
    }

    static var cost: (any CostImplementation.Type)? { CS3Cost.self }

    static func layouts(_ options: Options, _ pool: KVPoolDescription, importing: Bool) throws(DriverFailure) -> [KVLayout] {
        try model(options).layouts(pool)
    }
}

enum CS3Cost: CostImplementation {
    static func estimate(_ options: Options, _ program: ProgramDescription, _ work: Work) throws(DriverFailure) -> Cost {
        try CS3Driver.model(options).estimate(program, work)
    }

    static func memory(_ options: Options, _ program: ProgramDescription, kvTokens: Int, kvDType: DType) throws(DriverFailure) -> MemoryNeed {
        CS3Driver.model(options).memory(program, kvTokens: kvTokens, kvDType: kvDType)
    }
}
