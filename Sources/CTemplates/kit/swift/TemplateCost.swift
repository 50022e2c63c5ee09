/// Step 7: what work would take, asked before anything is opened. Give the source of every figure of a real device beside the figure.
enum TemplateCost: CostImplementation {
    /// Guesses for one core of a processor: the order of what this driver does, not a measurement.
    private static let flopsPerSecond = 4e9
    private static let bytesPerSecond = 2e9
    private static let launchSeconds = 20e-6

    static func estimate(_ options: Options, _ program: ProgramDescription, _ work: Work) throws(DriverFailure) -> Cost {
        guard work.kind == .run else { return Cost(.wall, nanoseconds: nanoseconds(2 * Double(work.bytes) / bytesPerSecond), bytes: count(2 * Double(work.bytes))) }
        let flops = program.flops(work)
        let bytes = Double(program.weightBytes) + Double(work.contextTokens) * Double(program.kvBytesPerToken(.f32))
        let seconds = max(Double(flops) / flopsPerSecond, bytes / bytesPerSecond)
        return Cost(.wall, nanoseconds: nanoseconds(seconds), flops: UInt64(flops), bytes: count(bytes), padded: UInt64(work.tokenCount))
    }

    static func memory(_ options: Options, _ program: ProgramDescription, kvTokens: Int, kvDType: DType) throws(DriverFailure) -> MemoryNeed {
        let kv = Double(kvTokens) * Double(program.kvBytesPerToken(kvDType))
        return MemoryNeed(
            weights: UInt64(clamping: program.weightBytes), workspace: 0, kv: count(kv), available: try TemplateDriver.describe(options).memoryBytes)
    }

    /// Up to 10^18; more than that fits nowhere.
    private static func count(_ bytes: Double) -> UInt64 { UInt64(min(bytes, 1e18)) }
    private static func nanoseconds(_ seconds: Double) -> UInt64 { UInt64(min((launchSeconds + seconds) * 1e9, 1e18)) }
}
