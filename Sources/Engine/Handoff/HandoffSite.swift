public import Driver
public import Model

/// A model open on one device: a place to hand KV over from, and to. Used by one thread.
public final class HandoffSite {
    public let name: String
    let placed: PlacedStage
    /// Where prompts are prefilled.
    let here: OpenStage
    private let model: ModelFile
    private var opener: StageOpener

    /// Opens a device of `driver` (a name, or a library's absolute path) and compiles the model for it.
    /// Errors: what placement and opening give, in one line.
    public init(_ name: String, driver: String, options: DriverOptions, model: ModelFile, context: Int, catalog: DriverCatalog) throws(EngineError) {
        self.name = name
        self.model = model
        let device = StageDevices.Named(label: name, driver: driver, options: options)
        placed = try PlacedStage(StageDevices(stage: name, devices: [device]), model, context: min(context, model.hyperparameters.contextLength), sequences: 1, catalog)
        if let problem = placed.parts.compactMap(\.problem).first { throw problem }
        opener = StageOpener(model: model, progress: nil)
        here = try opener.open(placed)
    }

    /// A further stage on the device, whose pool is new and shares nothing: nothing that was there before can be taken for what is handed over.
    func fresh() throws(EngineError) -> OpenStage { try opener.open(placed) }

    /// What the device says of itself.
    public var info: DeviceInfo { placed.parts[0].info }
    /// The dtype that KV is kept in.
    public var kept: DType { info.kvDType }
    /// Tokens of one batch at most.
    public var chunk: Int { placed.chunk }

    /// A stage whose pool is the own storage of `stage`, which is open on `sharer`; nil where this device says that it adopts no such pool, or its pools are of another kind.
    func adopting(_ stage: OpenStage, of sharer: HandoffSite) throws(EngineError) -> OpenStage? {
        let (own, other) = (placed.parts[0].pool, sharer.placed.parts[0].pool)
        guard own.dtype == other.dtype, own.blockTokens == other.blockTokens, own.blockCount == other.blockCount else { return nil }
        do throws(DriverError) {
            let pool = try KVPool(adopting: stage.parts[0].pool, as: own, on: here.parts[0].device)
            _ = consume pool
        } catch {
            if error.code == .unimplemented { return nil }
            throw EngineError(error)
        }
        return try opener.open(placed, adopting: [stage.parts[0]], allocator: stage.allocator)
    }

    /// A stage with batches of `chunk` tokens at most, in whole steps.
    static func limited(_ stage: OpenStage, to chunk: Int?, step: Int = 1) -> OpenStage {
        let tokens = chunk.map { max(step, $0 / step * step) } ?? stage.chunk
        return OpenStage(name: stage.name, parts: stage.parts, allocator: stage.allocator, chunk: min(tokens, stage.chunk))
    }
}
