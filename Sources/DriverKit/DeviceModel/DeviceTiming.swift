/// How long a modelled device takes: formulas over published and inferred figures, each with its source where it is stated.
public protocol DeviceTiming: Sendable {
    /// One batch, padding included. OUT_OF_RANGE for a shape the device does not take.
    func run(_ program: ProgramDescription, _ work: Work) throws(DriverFailure) -> Cost
    /// KV leaving or entering the device, nanoseconds.
    func transfer(bytes: Int, pieces: Int, importing: Bool) -> UInt64
    /// "3 chips", for a message about memory; from bytes.
    func units(for bytes: Int) -> String
    /// Bytes of memory in all.
    var memoryBytes: Int { get }
}

extension DeviceTiming {
    /// What a program needs with its weights in 16 bits, as such a device keeps them.
    public func need(_ program: ProgramDescription, kvTokens: Int, kvDType: DType) -> MemoryNeed {
        MemoryNeed(
            weights: UInt64(program.weightElements * 2), workspace: UInt64(program.maxTokens * program.activationWidth * 2),
            kv: UInt64(kvTokens * program.kvBytesPerToken(kvDType)), available: UInt64(memoryBytes))
    }

    /// The cost of any work.
    public func estimate(_ program: ProgramDescription, _ work: Work) throws(DriverFailure) -> Cost {
        guard work.kind == .run else {
            let time = transfer(bytes: work.bytes, pieces: max(1, work.pieceCount), importing: work.kind == .kvImport)
            return Cost(.modelled, nanoseconds: time, bytes: UInt64(work.bytes))
        }
        return try run(program, work)
    }
}
