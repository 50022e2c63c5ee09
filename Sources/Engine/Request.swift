import Driver
public import Tokens

/// One request: what to say, and how far to go.
public struct Request: Sendable {
    /// Token ids of the prompt, template applied.
    public var prompt: [Int32]
    /// Tokens to make at most; clamped to what the context has room for.
    public var maxTokens: Int
    public var sampling: SamplingOptions
    public var stops: [String]
    /// Whether the end-of-text tokens end it.
    public var obeysEnd: Bool
    /// Whether the end-of-text tokens are never chosen, so that it goes on with text.
    public var avoidsEnd: Bool

    public init(prompt: [Int32], maxTokens: Int, sampling: SamplingOptions, stops: [String] = [], obeysEnd: Bool = true, avoidsEnd: Bool = false) {
        self.prompt = prompt
        self.maxTokens = maxTokens
        self.sampling = sampling
        self.stops = stops
        self.obeysEnd = obeysEnd
        self.avoidsEnd = avoidsEnd
    }
}

/// What a request came to. Wall and modelled times are never added.
public struct RunReport: Sendable {
    public struct Stage: Sendable {
        public var stage: String
        public var device: String
        public var driver: String
        public var engine: String
        /// Tokens the stage processed.
        public var tokens: Int
        public var wallNanoseconds: UInt64
        /// On the device's modelled clock; nil for devices with wall clocks.
        public var modelledNanoseconds: UInt64?
        /// Around the drivers, outermost first; once each.
        public var driverLayers: [String] = []
    }
    public struct Handoff: Sendable {
        /// Bytes exported, and in how many pieces.
        public var bytes: Int
        public var pieces: Int
        public var fromLayout: String
        public var toLayout: String
        public var conversion: String
        /// Times a byte was written on its way.
        public var copies: Int
        public var exposedNanoseconds: UInt64
        public var hiddenNanoseconds: UInt64
        public var modelledExposedNanoseconds: UInt64?
        public var modelledHiddenNanoseconds: UInt64?
        public var state: String
        /// Prefill was done again on the decode device.
        public var recomputed: Bool
    }
    public var text = ""
    public var promptTokens: [Int32] = []
    public var completionTokens: [Int32] = []
    public var finishReason = FinishReason.length
    public var stages: [Stage] = []
    public var handoff: Handoff?
    /// "disaggregated" or "aggregated", and why.
    public var route = ""
    public var routeReason = ""
    /// Wall nanoseconds from the request to the first token: as prefill made it, and as the user may have it, with KV where decode is.
    public var ttftPrefill: UInt64 = 0
    public var ttftUser: UInt64 = 0
    /// Bytes of hidden states that went through host memory between the parts of a split stage.
    public var hiddenBytes = 0

    public init() {}
}

extension RunReport {
    /// The layers around the drivers of `devices`.
    static func driverLayers(_ devices: [Device]) -> [String] {
        devices.flatMap { $0.library.layers.map(\.description) }.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    /// Names once each, in order, joined by "+".
    static func unique(_ names: [String]) -> String {
        names.reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }.joined(separator: "+")
    }
}

extension RunReport.Handoff {
    init(_ figures: HandoffFigures, _ state: HandoffState, plans: [HandoffPlan], adopts: Bool) {
        self.init(
            bytes: figures.bytes, pieces: figures.pieces, fromLayout: RunReport.unique(plans.map(\.from.description)),
            toLayout: RunReport.unique(plans.map(\.to.description)), conversion: adopts ? "adopt" : RunReport.unique(plans.map(\.description)),
            copies: adopts ? 0 : plans.map(\.copies).max() ?? 0, exposedNanoseconds: figures.exposed, hiddenNanoseconds: figures.hidden,
            modelledExposedNanoseconds: figures.modelled?.exposed, modelledHiddenNanoseconds: figures.modelled?.hidden,
            state: state.description, recomputed: false)
    }
}
