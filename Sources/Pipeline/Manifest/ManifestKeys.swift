// SPDX-License-Identifier: Apache-2.0

/// The keys of each mapping of a manifest. `Examples/manifest.schema.json` lists the same ones.
enum ManifestKeys {
    static let manifest = ["baton", "model", "devices", "stages", "handoff", "routing", "context", "sampling", "trust", "watchdog"]
    static let device = ["driver", "options", "layers", "watchdog", "isolation", "restart"]
    static let watchdog = ["open", "compile", "submit", "batch", "call", "grace"]
    /// The layers there are, and the parameters of each.
    static let layers: [String: [String]] = [
        "validate": [], "trace": ["file"], "record": ["file"],
        "fault": ["kind", "call", "at", "rate", "times", "seed", "for", "code", "layer", "signal"],
    ]
    static let faultKinds = ["drop", "delay", "duplicate", "corrupt", "fail", "hang", "die"]
    static let faultSignals = ["abort", "segv", "kill", "stop"]
    /// The calls of the contract, as layers name them.
    static let calls = [
        "describe", "open", "info", "health", "quiesce", "close", "allocate", "import_memory", "export_memory", "release_buffer", "write", "read", "map",
        "unmap", "copy", "compile", "program_info", "release_program", "submit", "create_timeline", "release_timeline", "query", "wait", "signal", "fail",
        "notify", "kv_layouts", "kv_create", "kv_release", "kv_share", "kv_adopt", "kv_export", "kv_import", "kv_copy_blocks", "estimate", "memory",
    ]
    static let isolation = ["mode", "memory", "processors", "fence", "deadline", "work_deadline"]
    static let restart = ["budget", "window", "pause"]
    static let handoff = ["overlap", "dtype", "checksum", "deadline", "on_failure"]
    static let routing = ["mode"]
    static let trust = ["require", "keys"]
    static let sampling = ["temperature", "top_k", "top_p", "min_p", "repetition_penalty", "seed"]

    static let replica = ["device", "devices", "split"]

    static func stage(_ kind: Manifest.StageKind) -> [String] {
        switch kind {
        case .tokenize, .sample, .detokenize: ["kind", "after"]
        case .prefill, .decode: ["kind"] + replica + ["replicas", "after"]
        case .foreign: ["kind", "library", "function", "signature", "at", "after"]
        }
    }

    /// Every key that some stage has.
    static let anyStage = ["kind", "device", "devices", "split", "replicas", "library", "function", "signature", "at", "after"]
}
