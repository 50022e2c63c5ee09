import DriverKit

/// Modelled time of one or more Trainium3 chips. A batch pads up to its bucket and takes
/// `launch + max(FLOPs / (peak x MFU), bytes / bandwidth)`; chips are taken to divide both evenly (an assumption: no collective is charged).
/// KV leaves and enters over EFA: `15 us a piece + bytes / bandwidth`.
struct Trainium3Clock: DeviceClock {
    var buckets: [UInt32]
    /// Operations and bytes a second of all chips, MFU applied.
    var flopsPerSecond: Double
    var bytesPerSecond: Double
    var transferBytesPerSecond: Double
    var launchSeconds: Double

    init(_ options: Options, buckets: [UInt32]) {
        let chips = Double(options.integer("chips"))
        let peak = options.text("compute") == "mxfp8" ? Trainium3Facts.mxfp8TFLOPS : Trainium3Facts.bf16TFLOPS
        self.buckets = buckets
        flopsPerSecond = peak * 1e12 * options.number("mfu") * chips
        bytesPerSecond = options.number("hbm_tbps") * 1e12 * chips
        transferBytesPerSecond = options.number("efa_gbps") * 1e9 / 8 * chips
        launchSeconds = options.number("launch_us") * 1e-6
    }

    func run(_ shape: ProgramShape, _ work: Work) throws(DriverFailure) -> Cost {
        guard let bucket = buckets.first(where: { Int($0) >= work.tokenCount }) else {
            throw DriverFailure(
                .outOfRange, "a batch of \(work.tokenCount) tokens; the largest bucket is \(buckets.last ?? 0), so split it or set the option buckets")
        }
        let flops = shape.flops(work, tokens: Int(bucket))
        let bytes = shape.movedBytes(work, tokens: Int(bucket))
        let seconds = launchSeconds + max(flops / flopsPerSecond, bytes / bytesPerSecond)
        return .modelled(seconds: seconds, flops: flops, bytes: bytes, padded: Int(bucket))
    }

    func transfer(_ work: Work) -> Cost {
        let pieces = Double(max(1, work.pieceCount)) * Trainium3Facts.efaLatencyMicroseconds * 1e-6
        return .modelled(seconds: pieces + Double(work.bytes) / transferBytesPerSecond, bytes: Double(work.bytes))
    }
}
