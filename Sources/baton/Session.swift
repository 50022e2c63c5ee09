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

    init(manifest path: String) throws {
        let manifest = try Manifest(text: try Files.read(path), file: path)
        for warning in manifest.warnings { Terminal.note("baton: warning: \(warning)") }
        graph = try Graph(proving: manifest)
        folder = Files.folder(of: path)
        model = try ModelFile(path: try Self.resolve(graph.model.value, folder))
        catalog = DriverCatalog()
    }

    private static func resolve(_ model: String, _ folder: String) throws -> String {
        guard model.contains("/") || model.hasSuffix(".gguf") || model.hasSuffix(".json") else { return try ModelStore.standard().resolve(model) }
        return Files.absolute(model, against: folder)
    }

    /// Where each stage goes. Opens no device.
    func place() throws -> Placement {
        try Placement(
            model: model, prefill: devices(of: graph.prefill, "prefill"), decode: devices(of: graph.decode, "decode"),
            wire: graph.handoff.dtype.flatMap { DType(name: $0) }, context: graph.context, catalog: catalog)
    }

    private func devices(of stage: StageBinding, _ name: String) -> StageDevices {
        let devices = stage.devices.compactMap { label in
            graph.device(label).map { entry in
                StageDevices.Named(
                    label: label, driver: entry.driver.contains("/") ? Files.absolute(entry.driver, against: folder) : entry.driver,
                    options: DriverOptions(entry.options.map { ($0.key, $0.value) }))
            }
        }
        return StageDevices(stage: name, devices: devices, split: stage.split)
    }

    /// Opens the devices and compiles, with a bar on a terminal.
    func open(tokenizer: Tokenizer) throws -> Engine {
        let bar = ProgressBar()
        defer { bar.clear() }
        var settings = Engine.Settings()
        settings.handoff = HandoffSettings(
            overlapsLayers: graph.handoff.overlapsLayers, checksum: graph.handoff.checksum,
            deadline: UInt64(graph.handoff.deadlineMilliseconds) * 1_000_000, recomputes: graph.handoff.recomputes)
        settings.routing = Route.Mode(rawValue: graph.routing.rawValue) ?? .auto
        return try Engine(
            opening: try place(), tokenizer: tokenizer, settings: settings, filters: try hooks(),
            progress: { label, fraction in bar.report("readying \(label)", fraction) })
    }

    func hooks() throws -> ForeignHooks {
        var hooks = ForeignHooks()
        for stage in graph.foreign {
            guard let hook = ForeignHooks.Hook(rawValue: stage.hook.rawValue) else { continue }
            let library = stage.library.contains("/") ? Files.absolute(stage.library, against: folder) : stage.library
            try hooks.bind(stage: stage.name, library: library, signature: stage.signature, at: hook)
        }
        return hooks
    }
}

extension ModelFile {
    /// The tokenizer that the GGUF carries.
    func tokenizer() throws -> Tokenizer {
        guard let file else { throw Failure(code: 2, "\(path): describes a model without weights, which has no tokenizer; use a .gguf") }
        let tokens = try file.byteStrings("tokenizer.ggml.tokens")
        let types = try file.int32sIfPresent("tokenizer.ggml.token_type") ?? [Int32](repeating: 1, count: tokens.count)
        return try Tokenizer(
            Vocabulary(
                tokens: tokens, types: types, merges: try file.byteStrings("tokenizer.ggml.merges"),
                pre: try file.stringIfPresent("tokenizer.ggml.pre") ?? "default", model: try file.string("tokenizer.ggml.model"),
                bos: try file.uintIfPresent("tokenizer.ggml.bos_token_id").map { Int32(clamping: $0) },
                eos: try file.uintIfPresent("tokenizer.ggml.eos_token_id").map { Int32(clamping: $0) },
                addsBOS: try file.boolIfPresent("tokenizer.ggml.add_bos_token") ?? false))
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
