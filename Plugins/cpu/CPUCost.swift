import DriverKit

/// What work would take on a processor like the one this was written on. Guesses of the right order, on the wall clock:
/// routing compares them with each other, not with a model's figures.
enum CPUCost: CostImplementation {
    /// Multiply-adds count as two. Measured order for two cores with AVX-512: see Benchmarks/RESULTS.md.
    private static let flopsPerSecond = 1.2e11
    private static let bytesPerSecond = 2.0e10
    private static let launchSeconds = 20e-6

    static func estimate(_ options: Options, _ program: ProgramDescription, _ work: Work) throws(DriverFailure) -> Cost {
        guard work.kind == .run else {
            return Cost(.wall, nanoseconds: nanoseconds(2 * Double(work.bytes) / bytesPerSecond), bytes: UInt64(2 * work.bytes))
        }
        let flops = program.flops(work)
        let bytes = program.weightBytes + work.contextTokens / max(1, work.tokenCount) * program.kvBytesPerToken(.f16)
        let seconds = launchSeconds + max(Double(flops) / flopsPerSecond, Double(bytes) / bytesPerSecond)
        return Cost(.wall, nanoseconds: nanoseconds(seconds), flops: UInt64(flops), bytes: UInt64(bytes), padded: UInt64(work.tokenCount))
    }

    static func memory(_ options: Options, _ program: ProgramDescription, kvTokens: Int, kvDType: DType) throws(DriverFailure) -> MemoryNeed {
        let resident = CPUDriver.numerics(options).residentDType == nil ? program.weightBytes : program.weightElements * 2
        let workspace = program.maxTokens * 4 * program.activationWidth
        let kv = kvTokens * program.kvBytesPerToken(kvDType)
        return MemoryNeed(
            weights: UInt64(resident), workspace: UInt64(workspace), kv: UInt64(kv), available: try CPUDriver.describe(options).memoryBytes)
    }

    private static func nanoseconds(_ seconds: Double) -> UInt64 { UInt64(min(seconds * 1e9, 1e18)) }
}
