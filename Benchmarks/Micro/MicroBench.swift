import CDriver
import Driver
import Engine
import Foundation
import MicroCalls
import Model
import Tokens

/// The measurements, each over the cpu driver or the device models beside this program.
struct MicroBench {
    let model: ModelFile
    let catalog: DriverCatalog
    let repeats: Int

    init(model path: String, repeats: Int) throws {
        model = try ModelFile(path: path)
        catalog = DriverCatalog()
        self.repeats = repeats
    }

    private func device(_ label: String, _ options: DriverOptions = DriverOptions([])) throws -> Device {
        try Device(opening: catalog.load("cpu"), label: label, options: options)
    }

    // MARK: Contract

    /// Asking a timeline for an event: from Swift, and from C with the same arguments.
    func calls() throws -> [MicroRow] {
        let device = try device("a")
        let timeline = try Timeline(on: device)
        try timeline.signal(1)
        let count = 1_000_000
        var (swift, c, over): ([Double], [Double], [Double]) = ([], [], [])
        for _ in 0..<repeats {
            let began = now()
            for _ in 0..<count { _ = try timeline.query(1) }
            let mine = Double(now() - began) / Double(count)
            let plain = timeline.withContract { table, device, handle in micro_query(table, device, handle, 1, count) }
            swift.append(mine)
            c.append(plain)
            over.append(mine - plain)
        }
        return [
            MicroRow(name: "contract call from Swift", unit: "ns", samples: swift), MicroRow(name: "contract call from C", unit: "ns", samples: c),
            MicroRow(name: "Swift over C", unit: "ns", samples: over),
        ]
    }

    /// Asking a timeline of a device in a process of its own.
    func isolatedCalls() throws -> [MicroRow] {
        let device = try Device(opening: catalog.load("cpu", isolation: Isolation(), label: "a"), label: "a", options: DriverOptions([]))
        let timeline = try Timeline(on: device)
        try timeline.signal(1)
        let samples = try (0..<repeats).map { _ in
            let began = now()
            for _ in 0..<10_000 { _ = try timeline.query(1) }
            return Double(now() - began) / 1e7
        }
        return [MicroRow(name: "contract call of an isolated driver", unit: "us", samples: samples)]
    }

    // MARK: Handoff

    private static let tokens = 2048
    private static func pool(blocks: Int) -> KVPoolDescription {
        KVPoolDescription(dtype: .bf16, blockCount: blocks, blockTokens: 16, layers: 0..<30, kvHeads: 3, headDim: 64)
    }

    /// KV of 2,048 tokens from one pool to another of the same layout, layer by layer in pieces of at most 1 MB as a handoff sends them,
    /// beside one memcpy of as many bytes.
    func copies() throws -> [MicroRow] {
        let description = Self.pool(blocks: Self.tokens / 16)
        let (from, to) = (try device("a"), try device("b"))
        let source = try KVPool(creating: description, on: from), target = try KVPool(creating: description, on: to)
        let layout = try from.library.layouts(of: description, importing: false, options: DriverOptions([]))[0]
        let bytes = layout.bytesPerBlockLayer * (Self.tokens / 16) * 30
        let here = try HostRegion(count: bytes), there = try HostRegion(count: bytes)
        memset(here.base, 1, bytes)
        memset(there.base, 2, bytes)
        let slots = try (0..<4).map { _ in try IdentityCarrier.Slot() }
        var (plain, moved, checked): ([Double], [Double], [Double]) = ([], [], [])
        for repetition in 0...repeats {
            let copy = micro_copy(there.base, here.base, UInt(bytes))
            let bare = try carry(source, target, layout, slots, checksum: false), sure = try carry(source, target, layout, slots, checksum: true)
            guard repetition > 0 else { continue }
            plain.append(Double(bytes) / copy)
            moved.append(Double(bytes) / bare)
            checked.append(Double(bytes) / sure)
        }
        return [
            MicroRow(name: "memcpy", unit: "GB/s", samples: plain), MicroRow(name: "handoff, identity, without checksums", unit: "GB/s", samples: moved),
            MicroRow(name: "handoff, identity", unit: "GB/s", samples: checked),
            MicroRow(name: "handoff, identity, of memcpy", unit: "ratio", samples: zip(checked, plain).map { $0 / $1 }),
        ]
    }

    private func carry(
        _ source: borrowing KVPool, _ target: borrowing KVPool, _ layout: KVLayout, _ slots: [IdentityCarrier.Slot], checksum: Bool
    ) throws -> Double {
        let carrier = try IdentityCarrier(from: source, to: target, layout: layout, slots: slots, checksum: checksum)
        let began = now()
        try carrier.run(source, target, tokens: Self.tokens)
        return Double(now() - began)
    }

    /// Adopting a pool of 256 blocks and of 16,384.
    func adoptions() throws -> [MicroRow] {
        try [256, 16_384].map { blocks in
            let description = Self.pool(blocks: blocks)
            let (from, to) = (try device("a"), try device("b"))
            let source = try KVPool(creating: description, on: from)
            let samples = try (0..<repeats).map { _ in
                let began = now()
                let adopted = try KVPool(adopting: source, as: description, on: to)
                let took = Double(now() - began)
                _ = adopted.description
                return took / 1e3
            }
            return MicroRow(name: "adopt a pool of \(blocks) blocks", unit: "us", samples: samples)
        }
    }

    // MARK: A request

    private func engine(
        _ prefill: String, _ decode: String, options: DriverOptions = [:], layers: [LayerName] = [], isolation: Isolation? = nil
    ) throws -> Engine {
        // A device of its own for decode where it is another driver's or has options.
        func stage(_ name: String, _ driver: String, _ options: DriverOptions) -> StageDevices {
            let label = options == [:] ? driver : "\(driver) for \(name)"
            return StageDevices(stage: name, devices: [.init(label: label, driver: driver, options: options, layers: layers, isolation: isolation)])
        }
        guard let file = model.file else { throw EngineError(.usage, "the model has no weights; give a .gguf") }
        let placement = try Placement(
            model: model, prefill: stage("prefill", prefill, [:]), decode: stage("decode", decode, options), wire: nil, context: 1024, catalog: catalog)
        var settings = Engine.Settings()
        settings.routing = .disaggregated
        return try Engine(opening: placement, tokenizer: try Self.tokenizer(file), settings: settings)
    }

    private static func tokenizer(_ file: GGUFFile) throws -> Tokenizer {
        try Tokenizer(
            Vocabulary(
                tokens: try file.byteStrings("tokenizer.ggml.tokens"), types: try file.int32s("tokenizer.ggml.token_type"),
                merges: try file.byteStrings("tokenizer.ggml.merges"), pre: try file.string("tokenizer.ggml.pre"),
                model: try file.string("tokenizer.ggml.model"), bos: nil, eos: nil, addsBOS: false))
    }

    /// What of a decode step is not the device's: from one batch's end on the device to the next one's begin there, over the whole step.
    /// Sampling, text, submission and waking are in it. Of the driver in this process, and of one in its own.
    func hostShare() throws -> [MicroRow] {
        try hostShare(of: engine("cpu", "cpu"), "") + hostShare(of: engine("cpu", "cpu", isolation: Isolation()), ", driver in its own process")
    }

    private func hostShare(of engine: Engine, _ suffix: String) throws -> [MicroRow] {
        let prompt = (0..<32).map { Int32($0 * 97 + 100) }
        var (share, waking, between, submitting): ([Double], [Double], [Double], [Double]) = ([], [], [], [])
        for _ in 0..<repeats {
            let trace = Trace()
            engine.trace = trace
            _ = try engine.run(Request(prompt: prompt, maxTokens: 128, sampling: .greedy, obeysEnd: false))
            let device = trace.wallSpans(named: "decode", in: "driver"), host = trace.wallSpans(named: "decode", in: "stage")
            let steps = zip(device, device.dropFirst())
            share.append(100 * median(steps.map { Double($1.start &- $0.end) / Double($1.start &- $0.start) }))
            waking.append(median(zip(device, host).map { Double($1.end &- $0.end) / 1e3 }))
            between.append(median(zip(host, host.dropFirst()).map { Double($1.start &- $0.end) / 1e3 }))
            submitting.append(median(zip(device, host).map { Double($0.start &- $1.start) / 1e3 }))
        }
        return [
            MicroRow(name: "host's share of a decode step" + suffix, unit: "%", samples: share),
            MicroRow(name: "of it, from the device's end to the host's waking" + suffix, unit: "us", samples: waking),
            MicroRow(name: "of it, logits, sampling and text" + suffix, unit: "us", samples: between),
            MicroRow(name: "of it, from the host's submit to the device's begin" + suffix, unit: "us", samples: submitting),
        ]
    }

    /// What a decode step takes more when the driver is wrapped: in a process of its own, under the watchdog, or both. Runs of 64 steps in turn,
    /// each beside one of the bare driver a moment before or after, so that what the machine does meanwhile is the same for both.
    func wrappings() throws -> [MicroRow] {
        let bare = try engine("cpu", "cpu")
        let wrapped = [
            ("a process of its own", try engine("cpu", "cpu", isolation: Isolation())),
            ("the watchdog", try engine("cpu", "cpu", layers: [LayerName(.watchdog)])),
            ("both", try engine("cpu", "cpu", layers: [LayerName(.watchdog)], isolation: Isolation())),
        ]
        var samples = wrapped.map { _ in [Double]() }
        for turn in 0..<8 * repeats {
            for (index, (_, engine)) in wrapped.enumerated() {
                let pair = try (turn % 2 == 0 ? [bare, engine] : [engine, bare]).map(step)
                samples[index].append(100 * ((turn % 2 == 0 ? pair[1] / pair[0] : pair[0] / pair[1]) - 1))
            }
        }
        return zip(wrapped, samples).map { MicroRow(name: "a decode step's more within \($0.0)", unit: "%", samples: $1) }
    }

    /// The middle one of 64 decode steps, from one's begin to the next one's, in nanoseconds.
    private func step(_ engine: Engine) throws -> Double {
        let trace = Trace()
        engine.trace = trace
        let prompt = (0..<32).map { Int32($0 * 97 + 100) }
        _ = try engine.run(Request(prompt: prompt, maxTokens: 66, sampling: .greedy, obeysEnd: false))
        let steps = trace.wallSpans(named: "decode", in: "stage")
        return median(zip(steps, steps.dropFirst()).map { Double($1.start &- $0.start) })
    }

    /// What of a handoff the user waits for, over the time prefill takes, for 512 tokens: from the cpu driver to another of its devices that
    /// keeps KV in another dtype, which the cpu driver times on the host's clock.
    func overlap() throws -> [MicroRow] {
        let engine = try engine("cpu", "cpu", options: ["kv_dtype": "f16"])
        let prompt = (0..<512).map { Int32($0 * 37 + 100) }
        let samples = try (0..<2 * repeats).map { _ in
            let report = try engine.run(Request(prompt: prompt, maxTokens: 2, sampling: .greedy, obeysEnd: false))
            guard let handoff = report.handoff, handoff.bytes > 0 else { throw EngineError(.handoff, "no KV was moved; there is nothing to measure") }
            return 100 * Double(handoff.exposedNanoseconds) / Double(max(1, report.ttftPrefill))
        }
        return [MicroRow(name: "exposed handoff of 512 tokens' prefill", unit: "%", samples: samples)]
    }

    private func median(_ values: [Double]) -> Double {
        let sorted = values.sorted()
        return sorted.isEmpty ? 0 : sorted[sorted.count / 2]
    }

    private func now() -> UInt64 { DispatchTime.now().uptimeNanoseconds }
}
