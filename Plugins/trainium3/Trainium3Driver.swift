public import CDriver
import DriverKit

@_cdecl("baton_driver_entry")
public func entry(_ host: UnsafePointer<baton_host>?, _ out: UnsafeMutablePointer<baton_driver>?) -> baton_code {
    DriverKit.enter(Trainium3Driver.self, host, out)
}

/// A model of AWS Trainium3: real results in bf16 from the reference, the chip's memory, shapes and queues, and a modelled clock.
enum Trainium3Driver: DriverDefinition {
    static let name = "trainium3"
    static let version = "1.0.0"
    static let vendor = "Baton (a model of AWS Trainium3)"

    static let options = [
        OptionDescription("chips", .integer, default: "1", help: "Chips that share the work; memory, peak and EFA grow with them.", min: 1, max: Double(Trainium3Facts.mostChips)),
        OptionDescription("mfu", .number, default: "\(Trainium3Facts.prefillUtilisation)", help: "Part of the peak that is reached; inferred, no public measurement.", min: 0.01, max: 1),
        OptionDescription("launch_us", .number, default: "\(Trainium3Facts.launchMicroseconds)", unit: "us", help: "Time to launch a compiled program; assumed.", min: 0, max: 1e6),
        OptionDescription("compute", .choice, default: "bf16", choices: ["bf16", "mxfp8"], help: "Peak that the clock uses: 671 TFLOPS bf16 or 2,517 MXFP8 (published); results are bf16 in both."),
        OptionDescription("buckets", .text, default: Trainium3Facts.buckets.map(String.init).joined(separator: ","), help: "Token buckets that programs are compiled for, ascending multiples of 128."),
        OptionDescription("hbm_tbps", .number, default: "\(Trainium3Facts.hbmTerabytesPerSecond)", unit: "TB/s", help: "HBM bandwidth of a chip; published.", min: 0.1, max: 100),
        OptionDescription("efa_gbps", .number, default: "\(Trainium3Facts.efaGigabitsPerSecond)", unit: "Gb/s", help: "EFA of a chip, for KV; inferred from 12,800 Gb/s over 64 chips.", min: 1, max: 1e5),
        OptionDescription("queue_depth", .integer, default: "64", help: "Submits a queue holds before it is full; assumed.", min: 1, max: 65_536),
        OptionDescription("fail_after", .integer, default: "-1", help: "Submits after which the device is lost, to test hosts; -1 for never.", min: -1, max: 1e9),
    ]

    static func describe(_ options: Options) throws(DriverFailure) -> DeviceDescription {
        let timing = try Trainium3Timing(options)
        var device = DeviceDescription()
        device.engine = .model
        device.name = timing.chips == 1 ? "Trainium3" : "Trainium3 x \(timing.chips)"
        device.vendor = "AWS"
        device.memoryBytes = UInt64(timing.memoryBytes)
        device.weightDTypes = DTypes([.f32, .f16, .bf16, .q4_0, .q4_1, .q8_0])
        device.computeDTypes = DTypes([.bf16, .mxfp8])
        device.kvDTypes = DTypes([.bf16])
        device.residentDType = .bf16
        device.kvDType = .bf16
        device.shapes = .buckets(timing.buckets)
        device.maxBatchTokens = timing.buckets.last ?? 128
        device.maxBatchSequences = 64
        device.kvBlockTokens = 32
        device.queueCount = 2
        device.queueDepth = UInt32(options.integer("queue_depth"))
        device.unitCount = UInt32(timing.chips)
        device.clock = .modelled
        return device
    }

    static func open(_ options: Options, host: Host) throws(DriverFailure) -> any DeviceImplementation {
        let info = try describe(options)
        let timing = try Trainium3Timing(options)
        let engine = try ReferenceEngine(host: host, options: [(key: "numerics", value: "bf16"), (key: "kv_dtype", value: "bf16")])
        return ModelDevice(info: info, timing: timing, engine: engine, failAfter: options.integer("fail_after"))
    }

    static var cost: (any CostImplementation.Type)? { Trainium3Cost.self }

    /// K is kept transposed, head dimension before token, as the tensor engine's stationary operand is; an assumption, since the layout of a
    /// serving stack's KV on Trainium3 is not published.
    static func layouts(_ options: Options, _ pool: KVPoolDescription, importing: Bool) throws(DriverFailure) -> [KVLayout] {
        [try KVLayout(for: pool, dtype: .bf16, axes: [.layer, .block, .plane, .head, .dim, .token])]
    }
}

/// Costs by the same formulas as the modelled clock.
enum Trainium3Cost: CostImplementation {
    static func estimate(_ options: Options, _ program: ProgramDescription, _ work: Work) throws(DriverFailure) -> Cost {
        try Trainium3Timing(options).estimate(program, work)
    }

    static func memory(_ options: Options, _ program: ProgramDescription, kvTokens: Int, kvDType: DType) throws(DriverFailure) -> MemoryNeed {
        try Trainium3Timing(options).need(program, kvTokens: kvTokens, kvDType: kvDType)
    }
}
