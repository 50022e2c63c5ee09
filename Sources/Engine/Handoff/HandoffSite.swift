public import Driver
public import Model

/// A model open on one device in two stages whose KV pools share nothing: a place to hand KV over from, and to. Used by one thread.
public final class HandoffSite {
    public let name: String
    let placed: PlacedStage
    /// Where prompts are prefilled, and where handed KV arrives.
    let here: OpenStage
    let there: OpenStage
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
        there = try opener.open(placed)
    }

    /// What the device says of itself.
    public var info: DeviceInfo { placed.parts[0].info }
    /// The dtype that KV is kept in.
    public var kept: DType { info.kvDType }
    /// Tokens of one batch at most.
    public var chunk: Int { placed.chunk }

    /// A stage whose pool is `sharer`'s own storage; nil where this device says that it adopts no such pool, or its pools are of another kind.
    func adopting(_ sharer: HandoffSite) throws(EngineError) -> OpenStage? {
        let (own, other) = (placed.parts[0].pool, sharer.placed.parts[0].pool)
        guard own.dtype == other.dtype, own.blockTokens == other.blockTokens, own.blockCount == other.blockCount else { return nil }
        do throws(DriverError) {
            let pool = try KVPool(adopting: sharer.here.parts[0].pool, as: own, on: here.parts[0].device)
            _ = consume pool
        } catch {
            if error.code == .unimplemented { return nil }
            throw EngineError(error)
        }
        return try opener.open(placed, adopting: [sharer.here.parts[0]], allocator: sharer.here.allocator)
    }

    /// The prefill stage with batches of `chunk` tokens at most.
    func prefill(chunk: Int?) -> OpenStage {
        OpenStage(name: here.name, parts: here.parts, allocator: here.allocator, chunk: min(chunk ?? here.chunk, here.chunk))
    }
}
