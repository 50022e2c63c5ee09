/// What a serving engine has done since it was opened, and what it is doing; one consistent picture. Counters only rise.
public struct ServingMetrics: Sendable {
    /// Requests that wait now; requests that have been admitted and have not ended.
    public var queued = 0
    public var running = 0
    /// How many of both stand where.
    public var phases: [RequestPhase: Int] = [:]
    public var isDraining = false
    /// Seconds after which a request that finds the queue full should be tried again, as of now.
    public var retryAfter = 0.0

    /// KV of one stage's pools, in blocks of `blockTokens` tokens.
    public struct KV: Sendable, Hashable {
        public var stage: String
        /// The stage's devices, as "wse0+wse1".
        public var device: String
        public var blockTokens: Int
        public var total: Int
        /// Held by requests; holding prefixes for later; out of use for good.
        public var used: Int
        public var cached: Int
        public var quarantined: Int
    }
    /// One for each pool; stages that share a pool are named together, "prefill+decode".
    public var kv: [KV] = []

    public var arrived = 0
    public var completed = 0
    public var cancelled = 0
    /// Where requests stood when they were cancelled.
    public var cancelledIn: [RequestPhase: Int] = [:]
    /// Ended with an error after admission; refused at arrival with `busy`; refused as wrong (`usage`).
    public var failed = 0
    public var refused = 0
    public var rejected = 0
    public var preempted = 0
    /// Prefill done again on the decode device after a failure.
    public var recomputed = 0

    /// Tokens through the devices: of prompts, computed; of prompts, found in the prefix cache; steps of streams.
    public var prefillTokens = 0
    public var prefixHitTokens = 0
    public var decodeTokens = 0
    /// Prompt tokens of admitted requests; tokens made.
    public var promptTokens = 0
    public var completionTokens = 0

    public var routedDisaggregated = 0
    public var routedAggregated = 0
    /// The same by devices: every way there is.
    public struct Routed: Sendable, Hashable {
        public var route: Route
        public var prefill: String
        public var decode: String
        public var count: Int
    }
    public var routed: [Routed] = []

    public var handoffs = 0
    public var handoffsAborted = 0
    public var handoffBytes = 0
    /// Wall nanoseconds of handoffs after prefill had ended, and during it.
    public var handoffExposed: UInt64 = 0
    public var handoffHidden: UInt64 = 0
    /// The same on the devices' modelled clocks; nil where no handoff had any.
    public var handoffModelledExposed: UInt64?
    public var handoffModelledHidden: UInt64?

    /// What one device spent on batches.
    public struct Busy: Sendable, Hashable {
        public var device: String
        public var wallNanoseconds: UInt64
        /// Nil for devices with wall clocks.
        public var modelledNanoseconds: UInt64?
        public var batches: Int
    }
    public var busy: [Busy] = []
    /// Nanoseconds since the engine was opened: `busy` over it is a device's busy share.
    public var uptime: UInt64 = 0

    /// Seconds: from arrival to the first token as prefill made it, to the first as the user has it, between tokens, in the queue, in all.
    public var ttftPrefill = Histogram()
    public var ttftUser = Histogram()
    public var interToken = Histogram()
    public var queueTime = Histogram()
    public var total = Histogram()

    public init() {}

    /// Counts of seconds by bound, as Prometheus has them.
    public struct Histogram: Sendable, Hashable {
        /// Upper bounds, seconds, ascending; one more bucket holds what is beyond.
        public static let bounds: [Double] = [
            0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60,
        ]
        /// Not cumulative: of each bucket, `bounds.count + 1` of them.
        public private(set) var counts = [Int](repeating: 0, count: Self.bounds.count + 1)
        public private(set) var sum = 0.0
        public private(set) var count = 0

        public init() {}

        mutating func add(nanoseconds: UInt64) {
            let seconds = Double(nanoseconds) / 1e9
            let bucket = Self.bounds.firstIndex { seconds <= $0 } ?? Self.bounds.count
            counts[bucket] += 1
            sum += seconds
            count += 1
        }
    }
}

/// One thing that was measured, as it is measured: for those who keep finer statistics than `ServingMetrics`. Nanoseconds, wall.
public enum ServingObservation: Sendable {
    case ttftPrefill(UInt64)
    case ttftUser(UInt64)
    case interToken(UInt64)
    /// A batch of a stage ran.
    case batch(stage: String, tokens: Int, sequences: Int, nanoseconds: UInt64)
    /// A request, by its number, waits; has left the queue, perhaps once more after it was preempted; has given its user a first
    /// token, which prefill made so long after arrival; has ended, with nil where it did not come to all of its tokens.
    case arrived(UInt64, promptTokens: Int)
    case admitted(UInt64, Generation.Began)
    case firstToken(UInt64, prefill: UInt64)
    case ended(UInt64, Generation.Ended?)
}
