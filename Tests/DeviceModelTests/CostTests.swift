import Driver
import TestKit
import Testing

/// The modelled costs against public figures. Drivers are loaded as the build made them; nothing is opened.
@Suite("Modelled costs")
struct CostTests {
    private let catalog = TestDrivers.catalog()

    /// A prompt of `tokens` in one batch, all rows wanted, as the worked figures count the head.
    private func prompt(_ tokens: Int) -> Work {
        .run(tokens: tokens, sequences: 1, contextTokens: UInt64(tokens * (tokens + 1) / 2), rows: tokens)
    }

    @Test("an 8192-token prefill of Llama 8B on one Trainium3 takes what the facts work out", .enabled(if: TestDrivers.has("trainium3"), "no trainium3 driver"))
    func prefill() throws {
        let facts = try Facts.load()
        let driver = try catalog.load("trainium3")
        let model = try #require(facts.models["llama-3.1-8b"])
        let worked = try #require(facts.calibration.prefill_worked_S8192_one_trn3_40pct_mfu.value["llama-3.1-8b"])
        let program = Programs.llama(model, maxTokens: 8192)
        for (compute, expected) in [("bf16", worked.bf16_ms), ("mxfp8", worked.mxfp8_ms)] {
            let cost = try driver.estimate(prompt(8192), program: program, options: ["buckets": "8192", "compute": compute])
            let milliseconds = Double(cost.nanoseconds) / 1e6
            #expect(abs(milliseconds / expected - 1) < 0.03, "\(compute): \(milliseconds) ms, worked out as \(expected)")
            #expect(cost.clock == .modelled)
        }
    }

    @Test("padding to the bucket is charged", .enabled(if: TestDrivers.has("trainium3"), "no trainium3 driver"))
    func padding() throws {
        let driver = try catalog.load("trainium3")
        let program = Programs.llama(try #require(try Facts.load().models["llama-3.1-8b"]), maxTokens: 2048)
        let short = try driver.estimate(.run(tokens: 1025, sequences: 1, contextTokens: 525_825, rows: 1), program: program, options: [:])
        let full = try driver.estimate(.run(tokens: 2048, sequences: 1, contextTokens: 2_098_176, rows: 1), program: program, options: [:])
        let half = try driver.estimate(.run(tokens: 1024, sequences: 1, contextTokens: 524_800, rows: 1), program: program, options: [:])
        #expect([short.paddedTokens, full.paddedTokens, half.paddedTokens] == [2048, 2048, 1024])
        #expect(Double(short.nanoseconds) > 1.8 * Double(half.nanoseconds))
        #expect(short.nanoseconds <= full.nanoseconds)
    }

    @Test("a batch past the largest bucket is out of range and says so", .enabled(if: TestDrivers.has("trainium3"), "no trainium3 driver"))
    func largestBucket() throws {
        let driver = try catalog.load("trainium3")
        let error = #expect(throws: DriverError.self) {
            try driver.estimate(prompt(2049), program: Programs.llama(Programs.tiny, maxTokens: 2048), options: [:])
        }
        #expect(error?.code == .outOfRange)
        #expect(error?.detail.contains("2048") == true)
    }

    @Test("buckets that are no ascending multiples of 128 are refused", .enabled(if: TestDrivers.has("trainium3"), "no trainium3 driver"), arguments: ["", "100", "256,128", "128,,256", "0", "99999999999"])
    func badBuckets(text: String) throws {
        let driver = try catalog.load("trainium3")
        let error = #expect(throws: DriverError.self) { try driver.describe(["buckets": text]) }
        #expect(error?.code == .invalidArgument)
    }

    @Test("KV leaves a Trainium3 at the rate of EFA with a latency for each piece", .enabled(if: TestDrivers.has("trainium3"), "no trainium3 driver"))
    func export() throws {
        let driver = try catalog.load("trainium3")
        let program = Programs.llama(Programs.tiny, maxTokens: 128)
        let cost = try driver.estimate(.kvExport(bytes: 25_000_000, pieces: 4), program: program, options: [:])
        #expect(cost.nanoseconds == 1_060_000)
    }

    @Test("32 layers of 14.2 us decode about 2200 tokens a second on a CS-3", .enabled(if: TestDrivers.has("cs3"), "no cs3 driver"))
    func decode() throws {
        let facts = try Facts.load()
        let driver = try catalog.load("cs3")
        let program = Programs.llama(try #require(facts.models["llama-3.1-8b"]), maxTokens: 1)
        let layer = try #require(facts.calibration.cs3_layer_latency_us.value["8B@2200"])
        let work = Work.run(tokens: 1, sequences: 1, contextTokens: 1024, rows: 1)
        let cost = try driver.estimate(work, program: program, options: ["layer_us": "\(layer)"])
        #expect(abs(1e9 / Double(cost.nanoseconds) - 2200) < 22)
        let two = try driver.estimate(work, program: program, options: ["layer_us": "\(layer)", "systems": "2", "hop_us": "20"])
        #expect(two.nanoseconds == cost.nanoseconds + 20_000)
    }

    @Test("Llama 70B does not fit one CS-3 and fits four", .enabled(if: TestDrivers.has("cs3"), "no cs3 driver"))
    func capacity() throws {
        let model = try #require(try Facts.load().models["llama-3.1-70b"])
        let driver = try catalog.load("cs3")
        let program = Programs.llama(model, maxTokens: 512)
        let one = try driver.memoryNeed(program: program, kvTokens: 8192, kvDType: .f16, options: [:])
        let four = try driver.memoryNeed(program: program, kvTokens: 8192, kvDType: .f16, options: ["systems": "4"])
        #expect(abs(Double(one.weightBytes) / model.weights_fp16_bytes - 1) < 0.01)
        #expect(!one.fits)
        #expect(four.fits)
        #expect(one.availableBytes == 44_000_000_000)
        #expect(one.kvBytes == 8192 * 327_680)
    }

    @Test("an absurd description costs much and crashes nothing", arguments: ["trainium3", "cs3"])
    func absurd(name: String) throws {
        guard TestDrivers.has(name) else { return }
        let driver = try catalog.load(name)
        var model = Programs.tiny
        (model.vocab, model.hidden, model.ffn) = (1 << 30, 1 << 30, 1 << 30)
        let program = Programs.llama(model, maxTokens: 128)
        let cost = try driver.estimate(.run(tokens: 128, sequences: 1, contextTokens: 1 << 47, rows: 128), program: program, options: [:])
        #expect(cost.nanoseconds > 1_000_000_000)
        #expect(try !driver.memoryNeed(program: program, kvTokens: 1 << 47, kvDType: .f16, options: [:]).fits)
    }
}
