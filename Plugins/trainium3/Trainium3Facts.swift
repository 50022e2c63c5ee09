/// Figures of the chip, each with its source. Status: published = read in the vendor's own pages; inferred = derived by arithmetic, an assumption.
enum Trainium3Facts {
    /// 144 GiB of HBM a chip. Published: aws-neuron-sdk, about-neuron/arch/neuron-hardware/trainium3.rst (2026-08-21).
    static let memoryBytes = 144 << 30
    /// 4.9 TB/s a chip. Published: the same page. The NKI guide says 4.7; set `hbm_tbps` to 4.7 for an achievable ceiling.
    static let memoryTBps = 4.9
    /// 671 TFLOPS a chip in bf16, dense. Published: the same page.
    static let bf16TFLOPS = 671.0
    /// 2,517 TFLOPS a chip in MXFP8, dense. Published: the same page.
    static let mxfp8TFLOPS = 2517.0
    /// Chips of one UltraServer. Published: trn3-arch.rst of the same SDK.
    static let mostChips = 144
    /// 200 Gb/s of EFA a chip. Inferred: 28,800 Gb/s over 144 chips, trn3-arch.rst.
    static let efaGbps = 200.0
    /// 15 us, the least latency from HBM to HBM over EFA. Published for Trn2: neuron-runtime/about/collectives.rst.
    static let efaLatencyMicroseconds = 15.0
    /// Share of the peak that prefill reaches. Inferred: 0.3 to 0.5, no public measurement of Trn3 prefill was found.
    static let modelFLOPsUtilisation = 0.4
    /// About 80 us to launch a compiled program. Inferred; treat it as a free parameter.
    static let launchMicroseconds = 80.0
    /// Token buckets that batches pad up to. Assumption: powers of two over 128, the rows of the tensor engine.
    static let buckets = "128,256,512,1024,2048"
    static let bucketMultiple = 128
    /// Tokens of a KV block, and sequences of a batch. Assumptions.
    static let blockTokens: UInt32 = 32
    static let sequences: UInt32 = 64
}
