import DriverKit

/// Modelled times of one or more Trainium3 chips: a launch, then the larger of computing and moving bytes, for the padded batch.
struct Trainium3Timing: DeviceTiming {
    let chips: Int
    let utilisation: Double
    let launchMicroseconds: Double
    let teraflops: Double
    let terabytesPerSecond: Double
    let efaGigabitsPerSecond: Double
    let buckets: [UInt32]

    init(_ options: Options) throws(DriverFailure) {
        chips = options.integer("chips")
        utilisation = options.number("mfu")
        launchMicroseconds = options.number("launch_us")
        teraflops = options.text("compute") == "mxfp8" ? Trainium3Facts.mxfp8Teraflops : Trainium3Facts.bf16Teraflops
        terabytesPerSecond = options.number("hbm_tbps")
        efaGigabitsPerSecond = options.number("efa_gbps")
        buckets = try Self.buckets(options.text("buckets"))
    }

    /// "128,256": ascending multiples of 128.
    private static func buckets(_ text: String) throws(DriverFailure) -> [UInt32] {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false).map { UInt32($0.filter { $0 != " " }) }
        let list = parts.compactMap { $0 }
        guard list.count == parts.count, !list.isEmpty, list.count <= 64, zip(list, list.dropFirst()).allSatisfy(<),
            list.allSatisfy({ $0 > 0 && $0 % 128 == 0 && $0 <= 1 << 20 })
        else { throw DriverFailure(.invalidArgument, "option 'buckets' is '\(text)'; give ascending multiples of 128, such as 128,256,512") }
        return list
    }

    var memoryBytes: Int { chips * Trainium3Facts.hbmBytes }

    func units(for bytes: Int) -> String { "\((bytes + Trainium3Facts.hbmBytes - 1) / Trainium3Facts.hbmBytes) chips (option 'chips')" }

    func run(_ program: ProgramDescription, _ work: Work) throws(DriverFailure) -> Cost {
        guard let bucket = buckets.first(where: { Int($0) >= work.tokenCount }) else {
            throw DriverFailure(.outOfRange, "a batch of \(work.tokenCount) tokens; the largest bucket is \(buckets.last ?? 0): send it in chunks")
        }
        // Padding tokens are computed like the others; each attends to no more than the bucket.
        var padded = work
        padded.tokenCount = Int(bucket)
        padded.contextTokens = work.contextTokens + (Int(bucket) - work.tokenCount) * (work.contextTokens / max(1, work.tokenCount))
        let flops = program.flops(padded)
        let kv = work.contextTokens / max(1, work.tokenCount) * program.kvBytesPerToken(.bf16)
        let bytes = program.weightElements * 2 + kv
        let seconds = max(
            Double(flops) / (teraflops * 1e12 * Double(chips) * utilisation), Double(bytes) / (terabytesPerSecond * 1e12 * Double(chips)))
        return Cost(
            .modelled, nanoseconds: UInt64(launchMicroseconds * 1e3 + seconds * 1e9), flops: UInt64(flops), bytes: UInt64(bytes),
            padded: UInt64(bucket))
    }

    /// Over EFA, both ways.
    func transfer(bytes: Int, pieces: Int, importing: Bool) -> UInt64 {
        let seconds = Double(bytes) * 8 / (efaGigabitsPerSecond * 1e9 * Double(chips))
        return UInt64(seconds * 1e9 + Double(pieces) * Trainium3Facts.efaMicroseconds * 1e3)
    }
}
