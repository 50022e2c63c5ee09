public import CDriver

@_cdecl("baton_driver_entry")
public func entry(_ host: UnsafePointer<baton_host>?, _ out: UnsafeMutablePointer<baton_driver>?) -> baton_code {
    DriverKit.enter(TemplateDriver.self, host, out)
}

/// Step 1: what the driver and its device are. Its name stands in Name.swift, and in note.c. DriverKit makes the contract's tables of it.
enum TemplateDriver: DriverDefinition {
    static let name = driverName
    static let version = "0.1.0"
    static let vendor = "You"

    static let options = [
        OptionDescription(
            "memory", .integer, default: "4294967296", unit: "bytes", help: "Memory the device gives out; imported memory is not counted.", min: 1_048_576, max: 1e15),
        OptionDescription("kv_dtype", .choice, default: "f32", choices: ["f32", "f16", "bf16"], help: "What KV is kept in when the host does not say."),
    ]

    static func describe(_ options: Options) throws(DriverFailure) -> DeviceDescription {
        var device = DeviceDescription()
        device.engine = .reference  // .silicon once your device computes
        device.name = "Template"
        device.vendor = vendor
        device.memoryBytes = UInt64(options.integer("memory"))
        device.weightDTypes = DTypes([.f32, .f16, .bf16, .q4_0, .q4_1, .q8_0])
        device.computeDTypes = DTypes([.f32])
        device.kvDTypes = DTypes([.f32, .f16, .bf16])
        device.kvDType = ["f16": .f16, "bf16": .bf16][options.text("kv_dtype")] ?? .f32
        device.maxBatchTokens = 512
        device.maxBatchSequences = 64
        device.queueCount = 2
        device.queueDepth = 64
        device.clock = .wall
        return device
    }

    static func open(_ options: Options, host: Host) throws(DriverFailure) -> any DeviceImplementation {
        TemplateDevice(try describe(options), host: host)
    }

    static var cost: (any CostImplementation.Type)? { TemplateCost.self }

    /// Own storage first, in each dtype, then a plain order that every device can talk to.
    static func layouts(_ options: Options, _ pool: KVPoolDescription, importing: Bool) throws(DriverFailure) -> [KVLayout] {
        var layouts: [KVLayout] = []
        for dtype in [pool.dtype] + [DType.f32, .f16, .bf16].filter({ $0 != pool.dtype }) {
            layouts.append(try KVLayout(for: pool, dtype: dtype, axes: Pool.axes))
        }
        return layouts + [try KVLayout(for: pool, dtype: .f16, axes: [.layer, .plane, .block, .token, .head, .dim])]
    }
}
