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
            return Cost(.wall, nanoseconds: nanoseconds(2 * Double(work.bytes) / bytesPerSecond), bytes: count(2 * Double(work.bytes)))
        }
        let flops = program.flops(work)
        let context = Double(work.contextTokens / max(1, work.tokenCount))
        let bytes = Double(program.weightBytes) + context * Double(program.kvBytesPerToken(.f16))
        let seconds = launchSeconds + max(Double(flops) / flopsPerSecond, bytes / bytesPerSecond)
        return Cost(.wall, nanoseconds: nanoseconds(seconds), flops: UInt64(flops), bytes: count(bytes), padded: UInt64(work.tokenCount))
    }

    static func memory(_ options: Options, _ program: ProgramDescription, kvTokens: Int, kvDType: DType) throws(DriverFailure) -> MemoryNeed {
        let resident = CPUDriver.numerics(options).residentDType == nil ? Double(program.weightBytes) : Double(program.weightElements) * 2
        let workspace = Double(program.maxTokens) * 4 * Double(program.activationWidth)
        let kv = Double(kvTokens) * Double(program.kvBytesPerToken(kvDType))
        return MemoryNeed(
            weights: count(resident), workspace: count(workspace), kv: count(kv), available: try CPUDriver.describe(options).memoryBytes)
    }

    /// Bytes, up to 10^18; more than that fits nowhere.
    private static func count(_ bytes: Double) -> UInt64 { UInt64(min(bytes, 1e18)) }

    private static func nanoseconds(_ seconds: Double) -> UInt64 { UInt64(min(seconds * 1e9, 1e18)) }
}
