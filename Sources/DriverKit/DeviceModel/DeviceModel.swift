/// The facts of a modelled device: what it says of itself, how its memory divides, what its clock charges.
public struct DeviceModel: Sendable {
    /// What a device is several of: chips or systems.
    public struct Unit: Sendable {
        /// The option that says how many: "chips".
        public var option: String
        /// Bytes of memory of one.
        public var bytes: Int
        public var most: Int

        public init(option: String, bytes: Int, most: Int) {
            self.option = option
            self.bytes = bytes
            self.most = most
        }
    }

    public var info: DeviceDescription
    public var unit: Unit
    public var clock: any DeviceClock
    /// The order in which KV leaves and enters the device.
    public var exchangeAxes: [KVLayout.Axis]
    /// Batches after which the device is lost; negative: never.
    public var failAfter: Int

    public init(info: DeviceDescription, unit: Unit, clock: any DeviceClock, exchangeAxes: [KVLayout.Axis], failAfter: Int) {
        self.info = info
        self.unit = unit
        self.clock = clock
        self.exchangeAxes = exchangeAxes
        self.failAfter = failAfter
    }

    /// The one exchange layout, both for export and for import: the pool's dtype in the device's order.
    public func layouts(_ pool: KVPoolDescription) throws(DriverFailure) -> [KVLayout] {
        guard info.kvDTypes.contains(pool.dtype) else {
            throw .invalid("a KV pool of \(pool.dtype); \(info.name) keeps KV in \(info.kvDType)")
        }
        return [try KVLayout(for: pool, axes: exchangeAxes)]
    }

    /// RESOURCE_EXHAUSTED that names bytes needed, bytes there and how many units would do.
    func doesNotFit(_ what: String, needed: Int, used: Int) -> DriverFailure {
        let limit = Int(clamping: info.memoryBytes)
        let all = ProgramShape.sum(needed, used)
        let units = all / unit.bytes + (all % unit.bytes == 0 ? 0 : 1)
        let advice = units <= unit.most ? "\(units) \(unit.option) would do: set \(unit.option) to \(units)" : "no count of \(unit.option) up to \(unit.most) would do; use a smaller model"
        return DriverFailure(
            .resourceExhausted, "\(what) needs \(needed) bytes and \(info.name) has \(limit - used) free of \(limit) in \(info.unitCount) \(unit.option); \(advice)")
    }

    /// Work in the largest shape the device takes, else OUT_OF_RANGE.
    public func check(tokens: Int, sequences: Int) throws(DriverFailure) {
        guard tokens <= Int(info.maxBatchTokens), sequences <= Int(info.maxBatchSequences) else {
            throw DriverFailure(
                .outOfRange, "a batch of \(tokens) tokens in \(sequences) sequences; \(info.name) takes up to \(info.maxBatchTokens) in "
                    + "\(info.maxBatchSequences); split the prompt into chunks")
        }
    }

    /// The answer of baton.cost `estimate`.
    public func estimate(_ program: ProgramDescription, _ work: Work) throws(DriverFailure) -> Cost {
        guard work.kind == .run else { return clock.transfer(work) }
        try check(tokens: work.tokenCount, sequences: work.sequenceCount)
        return try clock.run(ProgramShape(program), work)
    }

    /// The answer of baton.cost `memory`: weights resident in 16 bits.
    public func memory(_ program: ProgramDescription, kvTokens: Int, kvDType: DType) -> MemoryNeed {
        let shape = ProgramShape(program)
        let kv = kvDType.bytes(ProgramShape.product([kvTokens, shape.kvElementsPerToken])) ?? .max
        return MemoryNeed(
            weights: UInt64(shape.residentBytes), workspace: UInt64(shape.workspaceBytes), kv: UInt64(kv), available: info.memoryBytes)
    }
}
