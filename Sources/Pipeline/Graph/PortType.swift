// SPDX-License-Identifier: Apache-2.0

/// What flows along an edge.
public enum PortType: String, Hashable, Sendable, CaseIterable {
    /// UTF-8.
    case text
    /// The token ids of a prompt, i32.
    case tokens
    /// One score for each token of the vocabulary, f32.
    case logits
    /// One token id, i32.
    case token
    /// Keys and values of every layer, in blocks on a device.
    case kvState = "kv_state"
}

/// Where a stage stands in the pipeline. The order of the cases is the order of the work on one token.
enum Step: Int, CaseIterable, Comparable {
    case textIn, tokenize, prefill, decode, logits, sample, detokenize, textOut

    init(_ kind: Manifest.StageKind, _ hook: ForeignHook?) {
        switch (kind, hook) {
        case (.foreign, .textIn?): self = .textIn
        case (.foreign, .textOut?): self = .textOut
        case (.foreign, .logits?): self = .logits
        case (.foreign, _), (.tokenize, _): self = .tokenize
        case (.prefill, _): self = .prefill
        case (.decode, _): self = .decode
        case (.sample, _): self = .sample
        case (.detokenize, _): self = .detokenize
        }
    }

    static func < (a: Step, b: Step) -> Bool { a.rawValue < b.rawValue }

    var inputs: [PortType] {
        switch self {
        case .textIn, .tokenize, .textOut: [.text]
        case .prefill: [.tokens]
        case .decode: [.kvState, .token]
        case .logits, .sample: [.logits]
        case .detokenize: [.token]
        }
    }

    var outputs: [PortType] {
        switch self {
        case .textIn, .detokenize, .textOut: [.text]
        case .tokenize: [.tokens]
        case .prefill: [.kvState, .logits]
        case .decode, .logits: [.logits]
        case .sample: [.token]
        }
    }
}
