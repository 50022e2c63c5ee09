import Driver
import Engine
import Model
import Pipeline
import Tokens

/// A manifest, read and proven, with its model and the drivers' catalog. Nothing is open yet.
struct Session {
    let graph: Graph
    let model: ModelFile
    let catalog: DriverCatalog
    let folder: String

    /// - Parameters:
    ///   - threads: of the worker pool; nil for BATON_THREADS, else one for each processor.
    ///   - givesWay: the pool's threads leave the processors to threads that answer requests.
    init(manifest path: String, threads: Int? = nil, givesWay: Bool = false) throws {
        graph = try Graph(proving: try Manifest(contentsOf: path))
        for warning in graph.warnings { Terminal.note("baton: \(warning)") }
        folder = Files.folder(of: path)
        model = try ModelFile(path: try Self.resolve(graph.manifest.model.value, folder))
        let trust = try Self.trust(graph.manifest, folder)
        catalog = DriverCatalog(host: HostServices(workers: WorkerPool(threads: threads, givesWay: givesWay)), trust: trust)
    }

    /// The operator's policy, and what the manifest asks for beyond it.
    private static func trust(_ manifest: Manifest, _ folder: String) throws -> TrustPolicy {
        let standard = try TrustPolicy.standard()
        guard let asked = manifest.trust else { return standard }
        return standard.tightened(
            require: TrustPolicy.Requirement(rawValue: asked.require.value.rawValue) ?? .signature,
            keys: try asked.keys.map { try TrustKey(naming: $0.value, folder: folder) }, source: manifest.file)
    }

    private static func resolve(_ model: Manifest.Model, _ folder: String) throws -> String {
        switch model {
        case .named(let name): try ModelStore.standard().resolve(name)
        case .file(let path): Files.absolute(path, against: folder)
        }
    }

    /// One for each pair of replicas.
    struct Placements {
        let first: Placement
        let others: [Placement]
        var all: [Placement] { [first] + others }
    }

    /// Where each stage goes, for `sequences` of `context` tokens (nil: the manifest's) at once. Opens no device.
    func placements(context: Int? = nil, sequences: Int = 1, kvTokens: Int? = nil) throws -> Placements {
        let all = try Placement.all(
            model: model, pairs: graph.pairs.map { (devices(of: $0.prefill, "prefill"), devices(of: $0.decode, "decode")) },
            wire: DType(name: graph.handoff.dtype.value.rawValue), context: context ?? graph.manifest.context?.value, sequences: sequences,
            kvTokens: kvTokens, catalog: catalog)
        guard let first = all.first else { throw Failure(code: 2, "\(graph.manifest.file): has no devices for prefill and decode; write some under devices") }
        return Placements(first: first, others: Array(all.dropFirst()))
    }

    /// Where one request alone goes.
    private func firstPlacement() throws -> Placement {
        let placements = try placements()
        if !placements.others.isEmpty, let pair = graph.pairs.first {
            func names(_ replica: Graph.Replica) -> String { replica.devices.map(\.name.value).joined(separator: "+") }
            Terminal.note("baton: of the replicas one request takes the first: prefill on \(names(pair.prefill)), decode on \(names(pair.decode)); `baton serve` uses all")
        }
        return placements.first
    }

    /// Every part of every stage, each device once.
    func parts() throws -> [PlacedPart] {
        var seen: Set<String> = []
        return try placements().all.flatMap { $0.prefill.parts + $0.decode.parts }.filter { seen.insert($0.device.label).inserted }
    }

    private func devices(of replica: Graph.Replica, _ name: String) -> StageDevices {
        let devices = replica.devices.map { device in
            StageDevices.Named(
                label: device.name.value,
                driver: device.driver.value.contains("/") ? Files.absolute(device.driver.value, against: folder) : device.driver.value,
                options: DriverOptions(device.options.map { ($0.name.value, $0.value.value) }), layers: layers(of: device),
                isolation: Isolation(device.isolation))
        }
        var split: [Int]?
        if case .counts(let counts) = replica.split { split = counts }
        return StageDevices(stage: name, devices: devices, split: split)
    }

    /// The deadlines first, then the layers as written.
    private func layers(of device: Manifest.Device) -> [LayerName] {
        let written = device.layers.compactMap { layer in
            LayerName.Kind(rawValue: layer.name.value).map { LayerName($0, layer.parameters.map { ($0.name.value, $0.value.value) }) }
        }
        guard let watchdog = graph.manifest.watchdog(of: device) else { return written }
        return [LayerName(.watchdog, watchdog.deadlines.map { ($0.name.value, $0.value.value) })] + written
    }

    /// The tokenizer, and where one request alone goes. Made at once, as one takes about as long as the other; what is wrong with the prompt can be told
    /// before what is wrong with the placement.
    func readied() throws -> (tokenizer: Tokenizer, placement: Result<Placement, any Error>) {
        let (tokenizer, placement) = catalog.host.workers.both({ Result { try model.tokenizer() } }, { Result { try firstPlacement() } })
        return (try tokenizer.get(), placement)
    }

    /// Opens the devices and compiles, with a bar on a terminal.
    func open(_ placement: Placement, tokenizer: Tokenizer) throws -> Engine {
        let bar = ProgressBar()
        defer { bar.clear() }
        var settings = Engine.Settings()
        settings.handoff = handoff
        settings.routing = routing
        return try Engine(
            opening: placement, tokenizer: tokenizer, settings: settings, filters: try hooks(),
            progress: { label, fraction in bar.report("readying \(label)", fraction) })
    }

    var handoff: HandoffSettings {
        HandoffSettings(
            overlapsLayers: graph.handoff.overlap.value == .layer, checksum: graph.handoff.checksum.value,
            deadline: graph.handoff.deadlineNanoseconds, recomputes: graph.handoff.onFailure.value == .recompute)
    }

    /// Tokens of one request at most, prompt and completion.
    var context: Int {
        let most = model.hyperparameters.contextLength
        return min(graph.manifest.context?.value ?? most, most)
    }

    var routing: Route.Mode { Route.Mode(rawValue: graph.routing.rawValue) ?? .auto }

    func hooks() throws -> ForeignHooks {
        var hooks = ForeignHooks()
        for node in graph.nodes {
            guard let foreign = node.foreign, let hook = ForeignHooks.Hook(rawValue: foreign.hook.value.rawValue) else { continue }
            let library = foreign.library.value.contains("/") ? Files.absolute(foreign.library.value, against: folder) : foreign.library.value
            try hooks.bind(stage: node.name, library: library, signature: foreign.boundSignature.description, at: hook)
        }
        return hooks
    }
}

extension Isolation {
    /// As the manifest says, or BATON_ISOLATION where it says nothing; nil: in this process.
    init?(_ manifest: Manifest.Device.Isolation?) {
        guard let manifest else {
            guard let asked = Isolation.ofEnvironment else { return nil }
            self = asked
            return
        }
        guard manifest.mode.value == .process else { return nil }
        self.init()
        func seconds(_ duration: Located<Duration>?) -> Int? { duration.map { max(1, Int($0.value.components.seconds)) } }
        memoryBytes = manifest.memory.map { $0.value << 20 }
        processors = manifest.processors?.value
        isFenced = manifest.fence?.value ?? isFenced
        callDeadline = seconds(manifest.deadline) ?? callDeadline
        workDeadline = seconds(manifest.workDeadline) ?? workDeadline
        restart.budget = manifest.budget?.value ?? restart.budget
        restart.window = seconds(manifest.window).map { UInt64($0) * 1_000_000_000 } ?? restart.window
        restart.firstPause = manifest.pause.map { $0.value.nanoseconds } ?? restart.firstPause
    }
}

extension Duration {
    /// Whole nanoseconds, 0 for less than nothing.
    var nanoseconds: UInt64 { UInt64(clamping: components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000) }
}

extension ModelFile {
    /// The tokenizer that the GGUF carries.
    func tokenizer() throws -> Tokenizer {
        guard let file else { throw Failure(code: 2, "\(path): describes a model without weights, which has no tokenizer; use a .gguf") }
        let tokens = try byteStrings(file, "tokenizer.ggml.tokens")
        let types = file.contains("tokenizer.ggml.token_type")
            ? try file.int32s("tokenizer.ggml.token_type") : [Int32](repeating: 1, count: tokens.count)
        defer { file.forget() } // the strings are most of what was read of it
        return try Tokenizer(
            Vocabulary(
                tokens: tokens, types: types, merges: try byteStrings(file, "tokenizer.ggml.merges"),
                pre: try file.stringIfPresent("tokenizer.ggml.pre") ?? "default", model: try file.string("tokenizer.ggml.model"),
                bos: try file.uintIfPresent("tokenizer.ggml.bos_token_id").map { Int32(clamping: $0) },
                eos: try file.uintIfPresent("tokenizer.ggml.eos_token_id").map { Int32(clamping: $0) },
                addsBOS: try file.boolIfPresent("tokenizer.ggml.add_bos_token") ?? false))
    }

    private func byteStrings(_ file: GGUFFile, _ key: String) throws(ModelError) -> ByteStrings {
        var strings = ByteStrings(expecting: try file.count(key))
        try file.forEachString(key) { (_, bytes) throws(ModelError) in strings.append(bytes) }
        return strings
    }

    /// The chat template that the GGUF carries.
    func chatTemplate(_ tokenizer: Tokenizer) throws -> ChatTemplate {
        guard let file, let source = try file.stringIfPresent("tokenizer.chat_template") else {
            throw Failure(code: 2, "\(path): carries no chat template; use --raw")
        }
        func text(_ id: Int32?) -> String { id.map { tokenizer.decode([$0], skippingSpecials: false) } ?? "" }
        return try ChatTemplate(source: source, bos: text(tokenizer.bos), eos: text(tokenizer.eos))
    }
}
