import DriverKit

/// Modelled times of one or more CS-3: a batch passes the layers one after another, so it takes at least layers x layer time and a hop for
/// each further wafer; long batches take their arithmetic.
struct CS3Timing: DeviceTiming {
    let systems: Int
    let layerMicroseconds: Double
    let hopMicroseconds: Double
    let utilisation: Double
    let ingestGigabytesPerSecond: Double

    init(_ options: Options) {
        systems = options.integer("systems")
        layerMicroseconds = options.number("layer_us")
        hopMicroseconds = options.number("hop_us")
        utilisation = options.number("mfu")
        ingestGigabytesPerSecond = options.number("ingest_gbps")
    }

    var memoryBytes: Int { systems * CS3Facts.sramBytes }

    func units(for bytes: Int) -> String { "\((bytes + CS3Facts.sramBytes - 1) / CS3Facts.sramBytes) systems (option 'systems', or split the stage by layers)" }

    func run(_ program: ProgramDescription, _ work: Work) throws(DriverFailure) -> Cost {
        let latency = Double(program.layerCount) * layerMicroseconds + Double(systems - 1) * hopMicroseconds
        let flops = program.flops(work)
        let arithmetic = Double(flops) / (CS3Facts.fp16Petaflops * 1e15 * Double(systems) * utilisation) * 1e6
        let bytes = program.weightElements * 2 + work.contextTokens / max(1, work.tokenCount) * program.kvBytesPerToken(.f16)
        return Cost(
            .modelled, nanoseconds: UInt64(max(latency, arithmetic) * 1e3), flops: UInt64(flops), bytes: UInt64(bytes),
            padded: UInt64(work.tokenCount))
    }

    func transfer(bytes: Int, pieces: Int, importing: Bool) -> UInt64 { UInt64(Double(bytes) / ingestGigabytesPerSecond) }
}
