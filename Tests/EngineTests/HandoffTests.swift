import Driver
@testable import Engine
import Model
import TestKit
import Testing
import Tokens

/// Decode after a handoff against decode where prefill ran, over the real model.
@Suite(.enabled(if: TestModel.path != nil && TestDrivers.has("cpu"), "the real model or the cpu driver is not there"), .serialized)
struct HandoffTests {
    private static let prompt = Golden.prompts.first { $0.name == "numbers" }?.ids ?? []

    private static func logits(_ engine: Engine, steps: Int = 4) throws -> [Int32] {
        try engine.run(Request(prompt: prompt, maxTokens: steps, sampling: .greedy, obeysEnd: false)).completionTokens
    }

    private static func device(_ label: String, _ driver: String, _ options: DriverOptions = [:]) -> StageDevices.Named {
        StageDevices.Named(label: label, driver: driver, options: options)
    }

    @Test("between two equal devices KV is adopted: no byte moves and the tokens are the same")
    func adopt() throws {
        let alone = try Self.logits(Engines.cpu(numerics: "f32"), steps: 16)
        let engine = try Engines.pair(Self.device("a", "cpu", ["numerics": "f32"]), Self.device("b", "cpu", ["numerics": "f32"]))
        let report = try engine.run(Request(prompt: Self.prompt, maxTokens: 16, sampling: .greedy, obeysEnd: false))
        #expect(report.completionTokens == alone)
        #expect(report.handoff?.conversion == "adopt")
        #expect(report.handoff?.bytes == 0)
    }

    @Test("between devices that keep KV in different dtypes the cast is within its own rounding", arguments: [("f16", "cast f32->f16"), ("bf16", "cast f32->bf16")])
    func cast(dtype: String, words: String) throws {
        let alone = try Self.logits(Engines.cpu(numerics: "f32"), steps: 8)
        let engine = try Engines.pair(
            Self.device("a", "cpu", ["numerics": "f32"]), Self.device("b", "cpu", ["numerics": "f32", "kv_dtype": dtype]))
        let report = try engine.run(Request(prompt: Self.prompt, maxTokens: 8, sampling: .greedy, obeysEnd: false))
        #expect(report.handoff?.state == "adopted")
        #expect(Array(report.completionTokens.prefix(1)) == Array(alone.prefix(1)))
        #expect(report.handoff.map { $0.bytes > 0 } == true, "\(words)")
    }

    @Test("a piece that does not arrive as it was sent fails the request when the manifest says so", .enabled(if: TestDrivers.has("trainium3") && TestDrivers.has("cs3")))
    func corrupted() throws {
        var settings = Engine.Settings()
        settings.handoff = HandoffSettings(recomputes: false)
        let engine = try Engines.pair(Self.device("trn", "trainium3"), Self.device("wse", "cs3"), settings: settings)
        engine.tamper = { piece, bytes in if piece == 7 { bytes[100] ^= 1 } }
        do {
            _ = try engine.run(Request(prompt: Self.prompt, maxTokens: 4, sampling: .greedy))
            Issue.record("the damage was not found")
        } catch {
            #expect(error.kind == .handoff)
            #expect(error.words.contains("checksum: layer 7"), "\(error.words)")
        }
        engine.tamper = nil
        let report = try engine.run(Request(prompt: Self.prompt, maxTokens: 4, sampling: .greedy, obeysEnd: false))
        #expect(report.handoff?.state == "adopted", "all blocks went back after the failure")
    }

    @Test("a failed handoff is recomputed on the decode device, and the text is what that device makes alone", .enabled(if: TestDrivers.has("trainium3") && TestDrivers.has("cs3")))
    func recomputed() throws {
        let engine = try Engines.pair(Self.device("trn", "trainium3"), Self.device("wse", "cs3"))
        engine.tamper = { piece, bytes in if piece == 3 { bytes[0] ^= 0xFF } }
        let report = try engine.run(Request(prompt: Self.prompt, maxTokens: 8, sampling: .greedy, obeysEnd: false))
        let alone = try Engines.open(prefill: [Self.device("wse", "cs3")], decode: [Self.device("wse", "cs3")])
            .run(Request(prompt: Self.prompt, maxTokens: 8, sampling: .greedy, obeysEnd: false))
        #expect(report.completionTokens == alone.completionTokens)
        #expect(report.handoff?.recomputed == true)
        #expect(report.handoff?.state.hasPrefix("aborted: checksum") == true)
    }

    @Test("a stage split by layers over two devices gives the tokens of one", .enabled(if: TestDrivers.has("cs3")))
    func split() throws {
        let one = try Engines.open(prefill: [Self.device("wse", "cs3")], decode: [Self.device("wse", "cs3")])
        let two = try Engines.open(
            prefill: [Self.device("w0", "cs3"), Self.device("w1", "cs3")], decode: [Self.device("w0", "cs3"), Self.device("w1", "cs3")])
        #expect(try Self.logits(one, steps: 8) == Self.logits(two, steps: 8))
        #expect(Explanation(of: one.placement, promptTokens: 64).hops.isEmpty)
        let hop = try #require(Explanation(of: two.placement, promptTokens: 64).hops.first)
        #expect(hop.from_device == "w0" && hop.to_device == "w1" && hop.after_layer == 14 && hop.bytes_per_token == 576 * 4)
    }
}
