/// What is known of a Cerebras CS-3, each figure with its source and how far it can be trusted.
enum CS3Facts {
    /// 44 GB of SRAM a wafer, decimal. The vendor's figure by Tom's Hardware.
    static let sramBytes = 44_000_000_000
    /// 15.6 PFLOPS, fp16 dense. Inferred: 125 PFLOPS is the sparse figure, an eighth of it agrees with two other lines of arithmetic.
    static let fp16Petaflops = 15.6
    /// Time of one layer in decode. Inferred from published rates: 14.2 us from Llama 3.1 8B at 2,200 tok/s, 6.0 to 27.8 over other models.
    /// Decode is bound by latency: at 21 PB/s the weights of an 8B model would take 0.76 us a token, where 455 to 556 us are observed.
    static let layerMicroseconds = 14.0
    static let layerMicrosecondsRange = 6.0...28.0
    /// From a wafer to the next. Assumed: not public.
    static let hopMicroseconds = 5.0
    /// Into a system: 12 x 100 GbE, 150 GB/s. The vendor's figure by others. How KV made elsewhere enters a CS-3 is not public.
    static let ingestGigabytesPerSecond = 150.0
    /// The part of the dense peak that long batches reach. Assumed: not public.
    static let utilisation = 0.4
    /// Systems of a cluster. The vendor's figure by Tom's Hardware.
    static let mostSystems = 2048
}
