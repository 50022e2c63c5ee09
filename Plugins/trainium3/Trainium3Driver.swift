public import CDriver
import DriverKit

@_cdecl("baton_driver_entry")
public func entry(_ host: UnsafePointer<baton_host>?, _ out: UnsafeMutablePointer<baton_driver>?) -> baton_code {
    DriverKit.enter(Trainium3Driver.self, host, out)
}

/// A model of AWS Trainium3: real results from the reference in bf16, the chip's memory, buckets and queues, and a modelled clock.
/// Weights are taken in what the reference takes; compile repacks them to bf16 and counts them as resident in 16 bits.
enum Trainium3Driver: DriverDefinition {
    static let name = "trainium3"
    static let version = "1.0.0"
    static let vendor = "AWS (modelled by Baton)"

    static let options = [
        OptionDescription(
            "chips", .integer, default: "1", unit: "chips", help: "Chips behind the device; memory, arithmetic and bandwidth scale with them.", min: 1,
            max: Double(Trainium3Facts.mostChips)),
        OptionDescription(
            "compute", .choice, default: "bf16", choices: ["bf16", "mxfp8"],
            help: "Which peak the clock uses: 671 or 2517 TFLOPS a chip (AWS Neuron SDK, trainium3.rst). Results are computed in bf16 either way."),
        OptionDescription(
            "mfu", .number, default: "\(Trainium3Facts.modelFLOPsUtilisation)",
            help: "Share of the peak that is reached; assumed, 0.3 to 0.5 are likely, no public measurement was found.", min: 0.01, max: 1),
        OptionDescription(
            "launch_us", .number, default: "\(Int(Trainium3Facts.launchMicroseconds))", unit: "us",
            help: "Time to launch a compiled program, for each batch; assumed.", min: 0, max: 1e6),
        OptionDescription(
            "hbm_tbps", .number, default: "\(Trainium3Facts.memoryTBps)", unit: "TB/s",
            help: "HBM bandwidth of a chip (AWS Neuron SDK, trainium3.rst; its NKI guide says 4.7).", min: 0.01, max: 100),
        OptionDescription(
            "efa_gbps", .number, default: "\(Int(Trainium3Facts.efaGbps))", unit: "Gb/s",
            help: "EFA bandwidth of a chip for KV, both ways (inferred: 28,800 Gb/s over 144 chips, trn3-arch.rst).", min: 0.01, max: 100_000),
        OptionDescription(
            "buckets", .text, default: Trainium3Facts.buckets, unit: "tokens",
            help: "Token counts that programs are compiled for, ascending multiples of 128 separated by commas; batches pad up to the next."),
        OptionDescription("queue_depth", .integer, default: "64", unit: "submits", help: "Work a queue holds before it refuses more.", min: 1, max: 65_536),
        OptionDescription(
            "fail_after", .integer, default: "-1", unit: "batches",
            help: "Batches after which the device is lost, for trying out recovery; -1 is never.", min: -1, max: 1e15),
    ]

    static func buckets(_ options: Options) throws(DriverFailure) -> [UInt32] {
        let text = options.text("buckets")
        var buckets: [UInt32] = []
        for word in text.split(separator: ",", omittingEmptySubsequences: false) {
            let digits = word.drop { $0 == " " }
            guard let value = UInt32(digits), value > 0, value % UInt32(Trainium3Facts.bucketMultiple) == 0, value <= 1 << 20,
                value > buckets.last ?? 0, buckets.count < 64
            else {
                throw DriverFailure(
                    .invalidArgument, "option 'buckets' is '\(text)'; give ascending multiples of 128 up to 1048576, like \(Trainium3Facts.buckets)")
            }
            buckets.append(value)
        }
        return buckets
    }

    static func model(_ options: Options) throws(DriverFailure) -> DeviceModel {
        let buckets = try buckets(options)
        let chips = options.integer("chips")
        var info = DeviceDescription()
        info.engine = .model
        info.name = "Trainium3"
        info.vendor = "AWS"
        info.memoryBytes = UInt64(chips * Trainium3Facts.memoryBytes)
        info.weightDTypes = DTypes([.f32, .f16, .bf16, .q4_0, .q4_1, .q8_0])
        info.computeDTypes = DTypes(options.text("compute") == "mxfp8" ? [.bf16, .mxfp8] : [.bf16])
        info.kvDTypes = DTypes([.bf16])
        info.residentDType = .bf16
        info.kvDType = .bf16
        info.shapes = .buckets(buckets)
        info.maxBatchTokens = buckets.last ?? 0
        info.maxBatchSequences = Trainium3Facts.sequences
        info.kvBlockTokens = Trainium3Facts.blockTokens
        info.queueCount = 2
        info.queueDepth = UInt32(options.integer("queue_depth"))
        info.unitCount = UInt32(chips)
        info.clock = .modelled
        return DeviceModel(
            info: info, unit: .init(option: "chips", bytes: Trainium3Facts.memoryBytes, most: Trainium3Facts.mostChips),
            clock: Trainium3Clock(options, buckets: buckets), exchangeAxes: exchangeAxes, failAfter: options.integer("fail_after"))
    }

    /// Assumption: K is kept transposed for the tensor engine, which takes the dimension it sums over across its partitions.
    static let exchangeAxes: [KVLayout.Axis] = [.layer, .block, .plane, .head, .dim, .token]

    static func describe(_ options: Options) throws(DriverFailure) -> DeviceDescription { try model(options).info }

    static func open(_ options: Options, host: Host) throws(DriverFailure) -> any DeviceImplementation {
        let model = try model(options)
        return ModelDevice(model, engine: try ReferenceEngine(host, [("numerics", "bf16"), ("kv_dtype", "bf16")]))
    }

    static var cost: (any CostImplementation.Type)? { Trainium3Cost.self }

    static func layouts(_ options: Options, _ pool: KVPoolDescription, importing: Bool) throws(DriverFailure) -> [KVLayout] {
        try model(options).layouts(pool)
    }
}

enum Trainium3Cost: CostImplementation {
    static func estimate(_ options: Options, _ program: ProgramDescription, _ work: Work) throws(DriverFailure) -> Cost {
        try Trainium3Driver.model(options).estimate(program, work)
    }

    static func memory(_ options: Options, _ program: ProgramDescription, kvTokens: Int, kvDType: DType) throws(DriverFailure) -> MemoryNeed {
        try Trainium3Driver.model(options).memory(program, kvTokens: kvTokens, kvDType: kvDType)
    }
}
