/// Figures of the system, each with its source. Status: vendor via third party = the vendor's figure, read on someone else's page;
/// inferred = derived by arithmetic, an assumption.
enum CS3Facts {
    /// 44 GB (decimal) of SRAM a system. Vendor via third party: Tom's Hardware on the WSE-3.
    static let memoryBytes = 44_000_000_000
    /// 15.6 PFLOPS dense fp16; the 125 of the brochure count sparsity. Inferred: 125 / 8, which two public derivations meet (15.5, 15.8).
    static let fp16PFLOPS = 15.6
    /// Systems of the largest cluster. Vendor via third party: Tom's Hardware.
    static let mostSystems = 2048
    /// 1.2 Tb/s of system I/O, 12 x 100 GbE. Vendor via third party: SemiAnalysis, 2026-05-13.
    static let ingestGBps = 150.0
    /// 14 us a layer of one decode step. Inferred from published rates, 1e6 / (tokens/s) / layers: 6.0 (Qwen3-32B) to 27.8 (Llama 70B at 450/s),
    /// 14.2 for Llama 8B at 2,200/s. Decode is bound by latency: the weights of 8B would stream from SRAM in 0.76 us.
    static let layerMicroseconds = 14.0
    static let leastLayerMicroseconds = 6.0
    static let mostLayerMicroseconds = 28.0
    /// From one system to the next. Assumption; nothing is published.
    static let hopMicroseconds = 20.0
    /// Share of the dense peak that a long batch reaches. Assumption.
    static let modelFLOPsUtilisation = 0.4
    /// Assumptions: tokens and sequences of a batch, tokens of a KV block.
    static let batchTokens: UInt32 = 512
    static let sequences: UInt32 = 256
    static let blockTokens: UInt32 = 16
}
