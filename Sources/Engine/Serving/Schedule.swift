/// Who runs when, where, and with which KV blocks. A value: events in, actions out. It holds no device and no clock, so that tests and a
/// simulator run the very code that serves.
///
/// A request waits in a fair queue; is admitted when KV for it can be had on every device of its way; is prefilled in chunks; handed
/// over, where its way crosses devices; and decodes in one batch with the others. Admission takes all that a request will need, or, when
/// overcommitting, what it needs first: then it may be preempted, and what it had made is computed again.
/// Nothing waits while holding only a part of what it needs, and the oldest of the highest priority is never preempted: something always runs on.
public struct Schedule: Sendable {
    public typealias ID = UInt64

    public struct Settings: Sendable {
        /// Requests that wait at most, in all and of one client; a request beyond is refused at once.
        public var maxQueued = 256
        public var maxQueuedPerClient = 256
        /// Requests of one client that run at most.
        public var maxRunningPerClient = Int.max
        /// Admits on the prompt's need alone and preempts when blocks run out; else a request's whole need is reserved.
        public var overcommits = false
        /// Prompt tokens that join a batch of running streams at most: what a stream may be held up by.
        public var mixedTokens = 128
        /// The same for each stream of the batch, so that few streams are held up less; at least `mixedFloor` in all.
        public var mixedTokensPerStream = 2
        public var mixedFloor = 8
        /// A batch of prompts takes in further prompts until it has this many tokens.
        public var packedTokens = 128
        /// Prefix blocks are used again.
        public var keepsPrefixes = true
        /// A failed handoff or prefill is computed again on the decode device.
        public var recomputes = true
        /// Nanoseconds in which nothing is sent to a prefill device that failed.
        public var cooldown: UInt64 = 5_000_000_000
        public var mode = Route.Mode.auto
        public init() {}
    }

    /// Where batches run. Stages over one pool of blocks share a ledger.
    public struct Stage: Sendable {
        public var name: String
        /// Its devices, as "wse0+wse1".
        public var devices: String
        public var ledger: Int
        /// Tokens and sequences of one batch at most.
        public var maxTokens: Int
        public var maxSequences: Int
        /// What prefill takes; nil when the driver gives no costs.
        public var prefillCost: CostCurve?

        public init(name: String, devices: String = "", ledger: Int, maxTokens: Int, maxSequences: Int, prefillCost: CostCurve? = nil) {
            (self.name, self.devices, self.ledger, self.maxTokens, self.maxSequences) = (name, devices, ledger, max(1, maxTokens), max(1, maxSequences))
            self.prefillCost = prefillCost
        }
    }

    /// A stage that prefills for a stage that decodes; one stage may be in several.
    public struct Pair: Sendable {
        public var prefill: Int
        public var decode: Int
        /// Chunks end at multiples of it, so that each is whole blocks on both sides.
        public var tokenStep: Int
        /// Both compute the same numbers, so that KV of either stands for the other's.
        public var isUniform: Bool
        public var importCost: CostCurve?
        /// Pairs of one number hand over KV of the same values for the same tokens; nil where no other pair does.
        public var arithmetic: Int?

        public init(prefill: Int, decode: Int, tokenStep: Int = 1, isUniform: Bool = true, importCost: CostCurve? = nil, arithmetic: Int? = nil) {
            (self.prefill, self.decode, self.tokenStep, self.isUniform) = (prefill, decode, max(1, tokenStep), isUniform)
            (self.importCost, self.arithmetic) = (importCost, arithmetic)
        }
    }

    /// A request as the schedule sees it.
    public struct Arrival: Sendable {
        public var id: ID
        public var prompt: [Int32]
        public var maxTokens: Int
        public var client = ""
        public var priority = GenerationRequest.Priority.standard
        /// Overrides the settings' mode.
        public var mode: Route.Mode?
        public var requiresDisaggregated = false

        public init(id: ID, prompt: [Int32], maxTokens: Int) {
            (self.id, self.prompt, self.maxTokens) = (id, prompt, maxTokens)
        }
    }

    public enum Event: Sendable {
        case arrived(Arrival)
        /// Its reader has gone.
        case cancelled(ID)
        /// It is to end with an error.
        case stopped(ID, EngineError)
        case batchDone(stage: Int, [Outcome])
        /// The device failed: nothing of the batch counts. Handoffs of its requests have been closed; KV of those in `lost` may
        /// still be written to.
        case batchFailed(stage: Int, EngineError, lost: Set<ID>)
        /// The device was lost and has been opened anew: nothing of the batch counts, and no KV of the stage's ledger is there any more. Handoffs from
        /// the stage have been closed; `lost` as above.
        case stageReset(stage: Int, EngineError, lost: Set<ID>)
        /// KV could not go to the stage, as its device was lost: nothing is sent there until it has been looked at.
        case stageLost(stage: Int)
        /// The answer to `reopen` where `stageReset` is not: the device is there, or cannot be had, as the next batch will show.
        case stageSeen(stage: Int)
        /// KV is where decode is; it took `exposed` nanoseconds after prefill had ended, on the clock of the pair's costs.
        case handedOver(ID, exposed: UInt64)
        case handoffFailed(ID, EngineError, lost: Bool)
        /// What `closeHandoff` asked for.
        case handoffClosed(ID, lost: Bool)
        /// Copies of a request's handoffs from the stage that were called `lost` have all ended: its blocks may be used again.
        case copiesEnded(ID, stage: Int)
        /// From now on what arrives is refused.
        case drain
        /// Time has passed.
        case tick
    }

    /// What a batch came to for one request.
    public struct Outcome: Sendable {
        public enum Kind: Sendable {
            case computed
            case token(Int32)
            /// The last token was made.
            case ended
            case failed(EngineError)
            /// Its KV did not get across; `lost` when it may still be written to.
            case handoffFailed(EngineError, lost: Bool)
        }
        public var id: ID
        public var kind: Kind

        public init(_ id: ID, _ kind: Kind) { (self.id, self.kind) = (id, kind) }
    }

    public enum Action: Sendable {
        case admitted(ID, Admission)
        case run(BatchPlan)
        /// The handoff of a request that goes no further is to be settled; `handoffClosed` is the answer.
        case closeHandoff(ID, stage: Int)
        /// The stage's device, which runs nothing, is to be opened anew if it was lost; `stageReset` or `stageSeen` is the answer.
        case reopen(stage: Int)
        /// Its blocks have gone back; it will be admitted again, and what it made is kept.
        case preempted(ID)
        /// Its prefill is done again on the decode device; a token that prefill made does not count.
        case recomputed(ID, EngineError)
        /// It is gone and so are its blocks: for good, or with an error, or because it was refused.
        case ended(ID, EngineError?)
    }

    public struct Admission: Sendable, Hashable {
        public var route: Route
        public var reason: String
        public var pair: Int
        /// Prompt tokens whose KV was there.
        public var cachedTokens: Int
        /// It ran before.
        public var isResumed: Bool
    }

    /// One batch for one stage: for each request some tokens, one after another.
    public struct BatchPlan: Sendable {
        public var stage: Int
        public var items: [Item]
        public var tokenCount: Int { items.reduce(0) { $0 + $1.tokens.count } }

        public struct Item: Sendable {
            public var id: ID
            public var tokens: [Int32]
            /// Position of the first.
            public var start: Int
            /// Blocks from position 0.
            public var table: [UInt32]
            /// The token after the last of these is wanted.
            public var wantsToken: Bool
            /// It is the stream's next token, and not part of a prompt.
            public var isStep: Bool
            /// KV moves to another device while the batch runs.
            public var carry: Carry?
        }

        /// Where KV goes.
        public struct Carry: Sendable {
            public var pair: Int
            public var decodeTable: [UInt32]
            /// The first token whose KV the decode side lacks, and how many the prefill side had before its first chunk.
            public var from: Int
            public var cached: Int
            /// Tokens of prompt and completion.
            public var capacity: Int
            public var isFirst: Bool
            public var isLast: Bool
        }
    }

    enum Phase: Sendable { case waiting, prefilling, handing, decoding, closing }

    /// The KV of a request on one side.
    struct Side: Sendable {
        var table: [UInt32] = []
        /// Tokens whose KV is there; blocks whose content is recorded; the number the next one follows.
        var computed = 0
        var recorded = 0
        var tail = BlockLedger.root
    }

    /// Why a request goes no further.
    enum Doom: Sendable {
        case finished, cancelled
        case failed(EngineError)
        var error: EngineError? { if case .failed(let error) = self { error } else { nil } }
    }

    struct Sequence: Sendable {
        let arrival: Arrival
        let ordinal: UInt64
        /// Prompt and what has been made.
        var tokens: [Int32]
        var phase = Phase.waiting
        var pair = 0
        var route = Route.aggregated
        var forced: Route?
        var here = Side()
        var there = Side()
        var cachedHere = 0
        var cachedThere = 0
        /// Both stages of its way use one table.
        var shares = false
        var isInFlight = false
        var hasHandoff = false
        /// The last token was made at the end of prefill and KV has not arrived yet.
        var madeByPrefill = false
        var doom: Doom?
        var ranBefore = false
        /// Its blocks on the decode side went with the device, while its KV was on the way there.
        var lostThere: EngineError?
        /// It was preempted: next time its whole need is reserved.
        var wasPreempted = false
        /// Stages where it failed, which it goes back to only where there is no other.
        var failedAt: Set<Int> = []

        var id: ID { arrival.id }
        var need: Int { arrival.prompt.count + arrival.maxTokens }
        var promptCount: Int { arrival.prompt.count }
        var flow: FairQueue.Flow { FairQueue.Flow(client: arrival.client, priority: arrival.priority) }
        /// Lower runs first and is preempted last.
        var rank: (Int, UInt64) { (-arrival.priority.rawValue, ordinal) }
    }

    public let settings: Settings
    public let stages: [Stage]
    public let pairs: [Pair]
    /// The first pair of each stage that decodes, which stands for the aggregated way there; those stages.
    let firstPairs: [Int]
    let decodeStages: [Int]
    public internal(set) var ledgers: [BlockLedger]
    var sequences: [ID: Sequence] = [:]
    var queue = FairQueue()
    /// Preempted and recomputed requests: they go before all that wait.
    var resumed: [ID] = []
    /// Requests of each stage in the order in which they run.
    var members: [[ID]]
    var running: [BatchPlan?]
    /// Stages whose device was lost while it ran nothing, and those of them that are being opened anew.
    var lostStages: Set<Int> = []
    var reopening: Set<Int> = []
    /// Blocks that a device may still write to, and why they are not free yet.
    var quarantined: [Quarantine] = []
    /// Requests that are to decode on each stage, from admission to end.
    var seats: [Int]
    var runningByClient: [String: Int] = [:]
    var queuedByClient: [String: Int] = [:]
    var failedUntil: [UInt64]
    var exposedByPair: [Double?]
    /// Of each pair, what the last request did that could choose between it and the aggregated way.
    var lastRoutes: [Route?]
    var nextOrdinal: UInt64 = 0
    public internal(set) var isDraining = false
    /// Smoothed nanoseconds between requests that end, and when the last one did.
    var interval = 0.0
    var lastEnd: UInt64?
    public internal(set) var counts = Counts()
    var actions: [Action] = []
    var now: UInt64 = 0

    public struct Counts: Sendable, Hashable {
        public var refused = 0
        /// By number of the pair; aggregated by the first pair that decodes there.
        public private(set) var disaggregated: [Int: Int] = [:]
        public private(set) var aggregated: [Int: Int] = [:]
        public var preempted = 0
        public var recomputed = 0
        /// Prompt tokens of admitted requests, and those of them whose KV was there.
        public var promptTokens = 0
        public var cachedTokens = 0

        mutating func add(_ route: Route, pair: Int) {
            if route == .disaggregated { disaggregated[pair, default: 0] += 1 } else { aggregated[pair, default: 0] += 1 }
        }
    }

    public init(stages: [Stage], pairs: [Pair], ledgers: [BlockLedger], settings: Settings = Settings()) {
        self.settings = settings
        self.stages = stages
        self.pairs = pairs
        firstPairs = pairs.indices.filter { index in !pairs[..<index].contains { $0.decode == pairs[index].decode } }
        decodeStages = firstPairs.map { pairs[$0].decode }
        self.ledgers = ledgers
        members = stages.map { _ in [] }
        running = stages.map { _ in nil }
        seats = stages.map { _ in 0 }
        failedUntil = stages.map { _ in 0 }
        exposedByPair = pairs.map { _ in nil }
        lastRoutes = pairs.map { _ in nil }
    }

    /// Requests that wait, and that have been admitted and have not ended.
    public var queuedCount: Int { queue.count + resumed.count }
    public var runningCount: Int { sequences.count - queuedCount }
    public var isIdle: Bool { sequences.isEmpty }

    /// Takes one event at `now` (nanoseconds, never falling) and says what is to be done, in order.
    public mutating func step(_ event: Event, now: UInt64) -> [Action] {
        self.now = max(now, self.now)
        take(event)
        recover()
        admitAll()
        for stage in stages.indices where running[stage] == nil { dispatch(stage) }
        defer { actions = [] }
        return actions
    }

    private mutating func take(_ event: Event) {
        switch event {
        case .arrived(let arrival): arrive(arrival)
        case .cancelled(let id): if sequences[id] != nil { conclude(id, .cancelled) }
        case .stopped(let id, let error): if sequences[id] != nil { conclude(id, .failed(error)) }
        case .batchDone(let stage, let outcomes): batchDone(stage, outcomes)
        case .batchFailed(let stage, let error, let lost): batchFailed(stage, error, lost)
        case .stageReset(let stage, let error, let lost): stageReset(stage, error, lost)
        case .stageLost(let stage): stageLost(stage)
        case .stageSeen(let stage): stageSeen(stage)
        case .handedOver(let id, let exposed): handedOver(id, exposed)
        case .handoffFailed(let id, let error, let lost): handoffFailed(id, error, lost)
        case .handoffClosed(let id, let lost):
            guard sequences[id]?.phase == .closing else { return }
            if lost { quarantine(id) }
            sequences[id]?.hasHandoff = false
            sequences[id]?.phase = .decoding
            conclude(id, .cancelled)
        case .copiesEnded(let id, let stage): copiesEnded(id, stage)
        case .drain: isDraining = true
        case .tick: break
        }
    }
}
