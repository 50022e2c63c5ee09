import Driver
import Model

/// Opens what a placement plans: devices once each, weights, programs, pools.
struct StageOpener {
    let model: ModelFile
    /// Hears which device is being readied, and a fraction 0...1 of it.
    let progress: (@Sendable (String, Double) -> Void)?
    private var devices: [String: Device] = [:]

    init(model: ModelFile, progress: (@Sendable (String, Double) -> Void)?) {
        self.model = model
        self.progress = progress
    }

    /// - Parameter adopting: a part of another stage for each part, whose pool's storage is to be used as it is; nil for own storage.
    ///   `allocator`: that stage's, whose block indices are then this stage's too.
    mutating func open(
        _ stage: PlacedStage, adopting: [OpenPart?] = [], allocator: BlockAllocator? = nil
    ) throws(EngineError) -> OpenStage {
        var parts: [OpenPart] = []
        for (index, placed) in stage.parts.enumerated() {
            do throws(DriverError) {
                let device = try device(placed)
                let sharer = adopting.indices.contains(index) ? adopting[index] : nil
                parts.append(try part(placed, on: device, sharing: sharer))
            } catch {
                var failure = EngineError(error)
                failure.words = "device \(placed.device.label): \(error)"
                throw failure
            }
        }
        return OpenStage(
            name: stage.name, parts: parts,
            allocator: allocator ?? BlockAllocator(blockCount: stage.blockCount, blockTokens: stage.blockTokens), chunk: stage.chunk,
            opener: allocator == nil ? again(stage) : nil)
    }

    /// How parts of a stage that were lost are opened again; nil where none can be lost.
    private func again(_ stage: PlacedStage) -> (([OpenPart]) throws(EngineError) -> [OpenPart])? {
        guard stage.parts.contains(where: \.library.isIsolated) else { return nil }
        let model = model
        return { old throws(EngineError) in
            var opener = StageOpener(model: model, progress: nil)
            var parts: [OpenPart] = []
            for (placed, part) in zip(stage.parts, old) {
                do throws(DriverError) {
                    parts.append(part.isLost ? try opener.part(placed, on: opener.device(placed), sharing: nil) : part)
                } catch {
                    var failure = EngineError(error)
                    failure.words = "device \(placed.device.label) was lost and could not be opened again: \(error)"
                    throw failure
                }
            }
            return parts
        }
    }

    private mutating func device(_ placed: PlacedPart) throws(DriverError) -> Device {
        if let open = devices[placed.device.label] { return open }
        let device = try Device(opening: placed.library, label: placed.device.label, options: placed.device.options)
        devices[placed.device.label] = device
        return device
    }

    private func part(_ placed: PlacedPart, on device: Device, sharing sharer: OpenPart?) throws(DriverError) -> OpenPart {
        let label = placed.device.label
        let (weights, builder) = try weights(placed, on: device)
        var report: (@Sendable (Double) -> Void)?
        if let progress { report = { progress(label, $0) } }
        if let sharer {
            let pool = try KVPool(adopting: sharer.pool, as: placed.pool, on: device)
            return try OpenPart(device: device, part: placed, builder: builder, model: model, weights: weights, pool: pool, progress: report)
        }
        let pool = try KVPool(creating: placed.pool, on: device)
        return try OpenPart(device: device, part: placed, builder: builder, model: model, weights: weights, pool: pool, progress: report)
    }

    /// By its descriptor, where the device can map it itself; else where it is mapped already.
    private static func imported(_ file: GGUFFile, _ base: UnsafeRawPointer, on device: Device) throws(DriverError) -> Buffer {
        if let descriptor = file.descriptor {
            do throws(DriverError) {
                return try Buffer(importing: .file(descriptor, count: file.byteCount), writable: false, on: device)
            } catch { if error.code != .unimplemented { throw error } }
        }
        return try Buffer(importing: .host(base, count: file.byteCount), writable: false, on: device)
    }

    /// The mapped file is imported once, whole; weights the device does not take are converted into buffers of their own.
    private func weights(_ placed: PlacedPart, on device: Device) throws(DriverError) -> (WeightBuffers, ProgramBuilder) {
        guard let file = model.file else {
            throw DriverError(
                .failedPrecondition, driver: placed.library.name, call: "weights",
                detail: "\(model.path) describes a model without weights; it can be explained, not run")
        }
        let buffers = WeightBuffers(on: device)
        let bytes = file.unsafeBytes
        guard let base = bytes.baseAddress else { return (buffers, placed.outline) }
        let whole = buffers.append(try Self.imported(file, base, on: device))
        var places: [String: Lowering.Place] = [:]
        for tensor in placed.description.tensors {
            guard case .weight(let info?) = tensor.role else { continue }
            let stored = tensor.type.dtype
            guard let target = placed.converted[stored] else {
                places[tensor.name] = Lowering.Place(buffer: whole, offset: UInt64(info.offset), dtype: stored)
                continue
            }
            let region = try HostRegion(count: target.bytes(info.elementCount))
            let source = UnsafeRawBufferPointer(rebasing: bytes[info.offset..<info.offset + info.byteCount])
            WeightConversion.convert(source, tensor.type, count: info.elementCount, to: target, into: region.bytes)
            let buffer = try Buffer(allocating: region.count, on: device)
            try buffer.write(UnsafeRawBufferPointer(region.bytes))
            places[tensor.name] = Lowering.Place(buffer: buffers.append(buffer), offset: 0, dtype: target)
        }
        return (buffers, Lowering.lower(placed.description, limits: placed.limits) { places[$0.name] })
    }
}
