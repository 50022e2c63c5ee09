// SPDX-License-Identifier: Apache-2.0

/// The keys of each mapping of a manifest. `Examples/manifest.schema.json` lists the same ones.
enum ManifestKeys {
    static let manifest = ["baton", "model", "devices", "stages", "handoff", "routing", "context", "sampling", "trust"]
    static let device = ["driver", "options", "isolation", "restart"]
    static let isolation = ["mode", "memory", "processors", "fence", "deadline", "work_deadline"]
    static let restart = ["budget", "window", "pause"]
    static let handoff = ["overlap", "dtype", "checksum", "deadline", "on_failure"]
    static let routing = ["mode"]
    static let trust = ["require", "keys"]
    static let sampling = ["temperature", "top_k", "top_p", "min_p", "repetition_penalty", "seed"]

    static func stage(_ kind: Manifest.StageKind) -> [String] {
        switch kind {
        case .tokenize, .sample, .detokenize: ["kind", "after"]
        case .prefill, .decode: ["kind", "device", "devices", "split", "after"]
        case .foreign: ["kind", "library", "function", "signature", "at", "after"]
        }
    }

    /// Every key that some stage has.
    static let anyStage = ["kind", "device", "devices", "split", "library", "function", "signature", "at", "after"]
}
