import DriverKit

/// Modelled time of one or more CS-3 systems, with layers laid one after the other across them. A batch takes
/// `max(layers x layer_us + hop_us x (systems - 1), FLOPs / (peak x MFU))`: one token is bound by latency, a long prompt by arithmetic.
/// The layers of one batch run one after the other, so more systems add hops and memory, not arithmetic.
/// KV enters and leaves at the bandwidth of the system I/O. How external KV enters a CS-3 is not public; this is an assumption.
struct CS3Clock: DeviceClock {
    var layerSeconds: Double
    var hopSeconds: Double
    var flopsPerSecond: Double
    var ingestBytesPerSecond: Double

    init(_ options: Options) {
        let systems = options.integer("systems")
        layerSeconds = options.number("layer_us") * 1e-6
        hopSeconds = options.number("hop_us") * 1e-6 * Double(systems - 1)
        flopsPerSecond = CS3Facts.fp16PFLOPS * 1e15 * options.number("mfu")
        ingestBytesPerSecond = options.number("ingest_gbps") * 1e9
    }

    func run(_ shape: ProgramShape, _ work: Work) throws(DriverFailure) -> Cost {
        let flops = shape.flops(work, tokens: work.tokenCount)
        let latency = Double(shape.layers) * layerSeconds + hopSeconds
        return .modelled(
            seconds: max(latency, flops / flopsPerSecond), flops: flops, bytes: shape.movedBytes(work, tokens: work.tokenCount),
            padded: work.tokenCount)
    }

    func transfer(_ work: Work) -> Cost {
        .modelled(seconds: Double(work.bytes) / ingestBytesPerSecond, bytes: Double(work.bytes))
    }
}
