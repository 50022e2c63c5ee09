public import CDriver
import DriverKit
import Glibc

@_cdecl("baton_driver_entry")
public func entry(_ host: UnsafePointer<baton_host>?, _ out: UnsafeMutablePointer<baton_driver>?) -> baton_code {
    DriverKit.enter(CPUDriver.self, host, out)
}

/// The reference for numerics, and the fast path: this machine's processor.
enum CPUDriver: DriverDefinition {
    static let name = "cpu"
    static let version = "1.0.0"
    static let vendor = "Baton"

    static let options = [
        OptionDescription(
            "numerics", .choice, default: "native", choices: Numerics.allCases.map(\.rawValue),
            help: "What linear operations compute in: native = quantised weights by int8 activations; f32, bf16, f16 = operands rounded to that type; sums are f32 always."),
        OptionDescription(
            "kv_dtype", .choice, default: "auto", choices: ["auto", "f32", "f16", "bf16"],
            help: "What KV is kept in; auto is f32 for numerics f32, f16 for f16, bf16 otherwise."),
        OptionDescription(
            "block_tokens", .choice, default: "16", choices: ["16", "32", "64", "128"], unit: "tokens",
            help: "Tokens of a KV block: fewer waste less at the end of a sequence, more make longer runs for export and attention."),
        OptionDescription(
            "isa", .choice, default: "auto", choices: ["auto"] + Kernels.names,
            help: "The instruction set of the kernels; auto is what the environment's BATON_CPU_ISA names, or the best of this processor."),
        OptionDescription(
            "memory", .integer, default: "0", unit: "bytes", help: "Memory the device may take; 0 is the machine's physical memory.", min: 0,
            max: 1e15),
    ]

    /// Weights that are taken as they are.
    static let weightDTypes = DTypes([.f32, .f16, .bf16, .q4_0, .q4_1, .q8_0])

    static func numerics(_ options: Options) -> Numerics { Numerics(rawValue: options.text("numerics")) ?? .native }

    static func describe(_ options: Options) throws(DriverFailure) -> DeviceDescription {
        let numerics = numerics(options)
        let kernels = try Kernels(options.text("isa"))
        var device = DeviceDescription()
        device.engine = .reference
        device.name = "CPU (\(kernels.name), \(numerics.rawValue))"
        device.vendor = vendor
        device.memoryBytes = memory(options)
        device.weightDTypes = weightDTypes
        device.computeDTypes = DTypes([.f32, .f16, .bf16, .i8])
        device.kvDTypes = DTypes([.f32, .f16, .bf16])
        device.residentDType = numerics.residentDType
        device.kvDType = ["f32": .f32, "f16": .f16, "bf16": .bf16][options.text("kv_dtype")] ?? numerics.kvDType
        device.maxBatchTokens = 4096
        device.maxBatchSequences = 256
        device.kvBlockTokens = UInt32(options.text("block_tokens")) ?? 16
        device.queueCount = 2
        device.queueDepth = 256
        device.clock = .wall
        return device
    }

    private static func memory(_ options: Options) -> UInt64 {
        let stated = options.integer("memory")
        return stated > 0 ? UInt64(stated) : UInt64(max(1, sysconf(Int32(_SC_PHYS_PAGES)))) * UInt64(max(1, sysconf(Int32(_SC_PAGESIZE))))
    }

    static func open(_ options: Options, host: Host) throws(DriverFailure) -> any DeviceImplementation {
        CPUDevice(info: try describe(options), numerics: numerics(options), kernels: try Kernels(options.text("isa")), host: host)
    }

    static var cost: (any CostImplementation.Type)? { CPUCost.self }

    /// Its own storage first, then the same order in the other dtypes.
    static func layouts(_ options: Options, _ pool: KVPoolDescription, importing: Bool) throws(DriverFailure) -> [KVLayout] {
        var layouts: [KVLayout] = []
        for dtype in [pool.dtype] + [DType.f16, .bf16, .f32].filter({ $0 != pool.dtype }) {
            layouts.append(try KVLayout(for: pool, dtype: dtype, axes: CPUDevice.storageAxes))
        }
        return layouts
    }
}
