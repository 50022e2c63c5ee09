/// What is known of a Trainium3 chip, each figure with its source and how far it can be trusted. Docs are aws-neuron-sdk of 2026-08-21.
enum Trainium3Facts {
    /// 144 GiB of HBM a chip. Published: about-neuron/arch/neuron-hardware/trainium3.rst.
    static let hbmBytes = 144 << 30
    /// 4.9 TB/s of HBM. Published: the same page; the NKI guide says 4.7.
    static let hbmTerabytesPerSecond = 4.9
    /// 671 TFLOPS, bf16 dense. Published: the same page.
    static let bf16Teraflops = 671.0
    /// 2,517 TFLOPS, MXFP8 dense. Published: the same page.
    static let mxfp8Teraflops = 2517.0
    /// 200 Gb/s of EFA a chip. Inferred: 12,800 Gb/s over the 64 chips of an UltraServer (trn3-arch.rst).
    static let efaGigabitsPerSecond = 200.0
    /// 15 us from HBM to HBM over EFA at the least. Published for Trainium2: neuron-runtime/about/collectives.rst.
    static let efaMicroseconds = 15.0
    /// The part of the peak that prefill reaches. Inferred: no public measurement of Trainium3 prefill was found; 0.3 to 0.5 is usual.
    static let prefillUtilisation = 0.4
    /// Time to launch a compiled program. Assumed: no public figure for Trainium3 was found.
    static let launchMicroseconds = 80.0
    /// Chips of the largest UltraServer (gen2). Published: trn3-arch.rst.
    static let mostChips = 144
    /// Token buckets: static shapes are compiled ahead, in multiples of 128.
    static let buckets: [UInt32] = [128, 256, 512, 1024, 2048]
}
