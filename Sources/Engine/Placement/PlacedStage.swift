public import Driver
public import Model

/// A stage on its devices, nothing open.
public struct PlacedStage: Sendable {
    public let name: String
    public let parts: [PlacedPart]
    /// Tokens of a KV block, the same in every part; blocks of each pool.
    public let blockTokens: Int
    public let blockCount: Int
    /// Tokens of one batch at most.
    public let chunk: Int

    /// Batches longer than this gain nothing on the reference and delay the handoff of their first layer.
    private static let longestChunk = 512

    init(
        _ stage: StageDevices, _ model: ModelFile, context: Int, sequences: Int, kvTokens: Int? = nil, _ catalog: DriverCatalog
    ) throws(EngineError) {
        var found: [(library: DriverLibrary, info: DeviceInfo)] = []
        for device in stage.devices {
            do throws(DriverError) {
                let library = try catalog.load(device.driver, isolation: device.isolation, layers: device.layers, label: device.label)
                found.append((library, try library.describe(device.options)))
            } catch { throw EngineError(.driver, "device \(device.label): \(error)") }
        }
        let tokens = found.map(\.info.kvBlockTokens).max() ?? 16
        let longest = found.map { min($0.info.buckets.last ?? $0.info.maxBatchTokens, $0.info.maxBatchTokens) }.min() ?? 1
        let chunk = Self.wholeBlocks(min(longest, Self.longestChunk, max(context, 1)), tokens)
        let blocks = kvTokens.map { max(1, ($0 + tokens - 1) / tokens) } ?? ((context + tokens - 1) / tokens + 1) * sequences
        let limits = ProgramLimits(tokens: chunk, sequences: max(1, min(sequences, found.map(\.info.maxBatchSequences).min() ?? 1)), context: context)
        name = stage.stage
        blockTokens = tokens
        blockCount = blocks
        self.chunk = chunk
        var parts: [PlacedPart] = []
        for ((device, range), driver) in zip(zip(stage.devices, try stage.ranges(of: model.hyperparameters.layers)), found) {
            parts.append(
                try PlacedPart(
                    device, driver.library, driver.info, model, layers: range, limits: limits, blockTokens: tokens, blockCount: blocks))
        }
        self.parts = parts
    }

    /// As "wse0+wse1".
    var labels: String { parts.map(\.device.label).joined(separator: "+") }

    /// `count` rounded down to whole blocks, if it has one.
    private static func wholeBlocks(_ count: Int, _ tokens: Int) -> Int { count >= tokens ? count / tokens * tokens : count }
}

extension PlacedStage {
    /// Which devices a stage is on, and which layers each has.
    struct Key: Hashable, Sendable {
        var parts: [Part]
        struct Part: Hashable, Sendable {
            var device: String
            var layers: Range<Int>
        }
    }
    var key: Key { Key(parts: parts.map { Key.Part(device: $0.device.label, layers: $0.layers) }) }

    /// Each stage once, by its devices.
    public static func distinct(_ stages: [PlacedStage]) -> [PlacedStage] {
        var seen: Set<Key> = []
        return stages.filter { seen.insert($0.key).inserted }
    }
}

/// The layers of a stage that one device holds.
public struct PlacedPart: Sendable {
    public let device: StageDevices.Named
    public let library: DriverLibrary
    public let info: DeviceInfo
    public let layers: Range<Int>
    public let description: ProgramDescription
    public let limits: ProgramLimits
    public let pool: KVPoolDescription
    /// Weights stored in a dtype the device does not take, and what the host makes of them.
    public let converted: [DType: DType]
    /// What the driver says the part needs; nil when the driver has no `baton.cost`.
    public let need: MemoryNeed?
    /// Why it cannot be there.
    public let problem: EngineError?

    init(
        _ device: StageDevices.Named, _ library: DriverLibrary, _ info: DeviceInfo, _ model: ModelFile, layers: Range<Int>,
        limits: ProgramLimits, blockTokens: Int, blockCount: Int
    ) throws(EngineError) {
        let description: ProgramDescription
        do throws(ModelError) { description = try model.program(layers: layers) } catch { throw EngineError(.usage, error.description) }
        let h = model.hyperparameters
        self.device = device
        self.library = library
        self.info = info
        self.layers = layers
        self.description = description
        self.limits = limits
        pool = KVPoolDescription(
            dtype: info.kvDType, blockCount: blockCount, blockTokens: blockTokens, layers: layers, kvHeads: h.kvHeads, headDim: h.headDim)
        let conversion = Self.conversions(description, info)
        converted = conversion.map
        (need, problem) = Self.check(
            device, library, info, description, limits: limits, kvTokens: blockCount * blockTokens, converted: conversion)
    }

    /// The program without weights, for questions of cost.
    public var outline: ProgramBuilder { Self.outline(description, limits, converted) }

    var isLast: Bool { description.outputKind == .logits }
    var inputTensor: Int? { if case .hidden(let index) = description.input { index } else { nil } }
    var outputTensor: Int { description.output }
    var hidden: Int { description.hyperparameters.hidden }
    var outputWidth: Int { isLast ? description.hyperparameters.vocabulary : hidden }

    func layouts(importing: Bool) throws(EngineError) -> [KVLayout] {
        do throws(DriverError) {
            return try library.layouts(of: pool, importing: importing, options: device.options)
        } catch { throw EngineError(.driver, "device \(device.label): \(error)") }
    }

    private static func outline(_ description: ProgramDescription, _ limits: ProgramLimits, _ converted: [DType: DType]) -> ProgramBuilder {
        Lowering.lower(description, limits: limits) { tensor in
            tensor.isWeight ? Lowering.Place(buffer: -1, offset: 0, dtype: converted[tensor.type.dtype] ?? tensor.type.dtype) : nil
        }
    }

    private static func conversions(_ description: ProgramDescription, _ info: DeviceInfo) -> (map: [DType: DType], lacking: DType?) {
        var map: [DType: DType] = [:]
        for dtype in Set(description.tensors.filter(\.isWeight).map(\.type.dtype)) {
            guard let target = WeightConversion.target(for: dtype, accepted: info.weightDTypes) else { return (map, dtype) }
            if target != dtype { map[dtype] = target }
        }
        return (map, nil)
    }

    private static func check(
        _ device: StageDevices.Named, _ library: DriverLibrary, _ info: DeviceInfo, _ description: ProgramDescription,
        limits: ProgramLimits, kvTokens: Int, converted: (map: [DType: DType], lacking: DType?)
    ) -> (MemoryNeed?, EngineError?) {
        if let lacking = converted.lacking {
            return (nil, EngineError(.placement, "device \(device.label) (\(info.name)) takes no weights that \(lacking) can be made into; choose another device"))
        }
        guard library.hasCost else { return (nil, nil) }
        do throws(DriverError) {
            let need = try library.memoryNeed(
                program: outline(description, limits, converted.map), kvTokens: kvTokens, kvDType: info.kvDType, options: device.options)
            return (need, need.fits ? nil : tooLarge(device, info, description.layers, need))
        } catch { return (nil, EngineError(.placement, "device \(device.label): \(error)")) }
    }

    private static func tooLarge(
        _ device: StageDevices.Named, _ info: DeviceInfo, _ layers: Range<Int>, _ need: MemoryNeed
    ) -> EngineError {
        let advice = layers.count > 1 ? "split the stage by layers over more devices, or choose a smaller model or context" : "choose a smaller model or context"
        return EngineError(
            .placement,
            "device \(device.label) (\(info.name)): layers \(layers.lowerBound)..<\(layers.upperBound) need \(ByteCount(need.neededBytes)) (weights \(ByteCount(need.weightBytes)), KV \(ByteCount(need.kvBytes)), workspace \(ByteCount(need.workspaceBytes))), the device has \(ByteCount(need.availableBytes)); \(advice)")
    }
}

/// Bytes as people read them: "44.0 GB", decimal.
public struct ByteCount: Sendable, CustomStringConvertible {
    public let bytes: UInt64
    public init(_ bytes: some BinaryInteger) { self.bytes = UInt64(clamping: bytes) }

    public var description: String {
        let units = ["B", "kB", "MB", "GB", "TB", "PB"]
        var value = Double(bytes)
        var unit = 0
        while value >= 999.5, unit < units.count - 1 {
            value /= 1000
            unit += 1
        }
        if unit == 0 { return "\(bytes) B" }
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10) \(units[unit])"
    }
}
