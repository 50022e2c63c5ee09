public import Engine
public import Tokens

/// A model as it is offered to callers, with what generates from it.
public struct ServedModel: Sendable {
    /// What requests call it.
    public var id: String
    /// Unix seconds.
    public var created: Int
    public var tokenizer: Tokenizer
    /// Nil for models without one, which take no conversations.
    public var template: ChatTemplate?
    /// Tokens of prompt and completion at most.
    public var context: Int
    /// What the manifest samples with where a request does not say.
    public var sampling: Sampling
    public var hooks: ForeignHooks
    public var engine: any Generating
    /// For the page: what runs where, and the latest requests, which hears what the engine observes.
    public var plan: PipelinePlan?
    public var timeline: RequestTimeline?

    public struct Sampling: Sendable {
        public var temperature: Double?
        public var topK: Int?
        public var topP: Double?
        public var minP: Double?
        public var repetitionPenalty: Double?
        public var seed: UInt64?
        public init() {}
    }

    public init(
        id: String, created: Int, tokenizer: Tokenizer, template: ChatTemplate?, context: Int, sampling: Sampling = Sampling(),
        hooks: ForeignHooks = ForeignHooks(), engine: any Generating
    ) {
        self.id = id
        self.created = created
        self.tokenizer = tokenizer
        self.template = template
        self.context = context
        self.sampling = sampling
        self.hooks = hooks
        self.engine = engine
    }
}
