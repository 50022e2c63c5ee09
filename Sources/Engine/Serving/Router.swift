public import Driver

/// Chooses the way of one request. A pure function: what it is asked is all it knows.
public enum Router {
    /// The ways there are for a request, and what each would cost it now.
    public struct Question: Sendable {
        public var mode: Route.Mode
        public var requiresDisaggregated: Bool
        /// Nil where the stages are one device, or the prefill device has failed.
        public var disaggregated: Way?
        /// Nil where prefill cannot run on the decode device.
        public var aggregated: Way?
        /// What the last request did that had the choice between the same devices; another way must be better by a fifth.
        public var last: Route?
        /// Why there is no disaggregated way, where there is none.
        public var lacking = "both stages are on one device"
        /// Seconds after which there may be one; nil where there never is.
        public var retryAfter: Double?

        public init(
            mode: Route.Mode, requiresDisaggregated: Bool = false, disaggregated: Way? = nil, aggregated: Way? = nil, last: Route? = nil
        ) {
            self.mode = mode
            self.requiresDisaggregated = requiresDisaggregated
            self.disaggregated = disaggregated
            self.aggregated = aggregated
            self.last = last
        }
    }

    /// What one way would take. Nanoseconds are on `clock`; of several prefill devices this is the best one.
    public struct Way: Sendable, Hashable {
        /// Prompt tokens to compute.
        public var uncachedTokens: Int
        /// KV blocks the request needs and that can be had, on the device where fewest are left over.
        public var neededBlocks: Int
        public var freeBlocks: Int
        /// What stands before it on the device that prefills, what its prefill takes, and KV on its way after prefill has ended; nil
        /// when a driver gives no costs.
        public var cost: Time?

        public struct Time: Sendable, Hashable {
            public var clock: Clock
            public var wait: UInt64
            public var prefill: UInt64
            public var handoff: UInt64
            /// Time taken from the streams that decode there now.
            public var taken: UInt64
            public var sum: UInt64 { wait &+ prefill &+ handoff &+ taken }

            public init(clock: Clock, wait: UInt64, prefill: UInt64, handoff: UInt64, taken: UInt64) {
                (self.clock, self.wait, self.prefill, self.handoff, self.taken) = (clock, wait, prefill, handoff, taken)
            }
        }

        public init(uncachedTokens: Int, neededBlocks: Int, freeBlocks: Int, cost: Time?) {
            (self.uncachedTokens, self.neededBlocks, self.freeBlocks, self.cost) = (uncachedTokens, neededBlocks, freeBlocks, cost)
        }

        var hasRoom: Bool { neededBlocks <= freeBlocks }
    }

    public struct Answer: Sendable, Hashable {
        public var route: Route
        /// One line.
        public var reason: String
    }

    /// - Throws: when the request requires the disaggregated way and there is none: usage where there never is, unavailable where a device rests.
    public static func decide(_ question: Question) throws(EngineError) -> Answer {
        if question.requiresDisaggregated {
            guard question.disaggregated != nil else {
                if let seconds = question.retryAfter {
                    var error = EngineError(.unavailable, "the request requires the disaggregated way, and \(question.lacking); ask again later, or drop the requirement")
                    error.retryAfter = seconds
                    throw error
                }
                throw EngineError(.usage, "the request requires the disaggregated way, and \(question.lacking); drop the requirement or change the manifest")
            }
            return Answer(route: .disaggregated, reason: "the request requires it")
        }
        guard let apart = question.disaggregated else { return Answer(route: .aggregated, reason: question.lacking) }
        guard let together = question.aggregated else { return Answer(route: .disaggregated, reason: "the decode device cannot prefill") }
        switch question.mode {
        case .disaggregated: return Answer(route: .disaggregated, reason: "it is asked for")
        case .aggregated: return Answer(route: .aggregated, reason: "it is asked for")
        case .auto: return compare(apart, together, question.last)
        }
    }

    private static func compare(_ apart: Way, _ together: Way, _ last: Route?) -> Answer {
        if apart.hasRoom != together.hasRoom {
            let (route, other): (Route, Way) = apart.hasRoom ? (.disaggregated, together) : (.aggregated, apart)
            return Answer(route: route, reason: "the other way needs \(other.neededBlocks) KV blocks and \(other.freeBlocks) are free")
        }
        guard let a = apart.cost, let b = together.cost, a.clock == b.clock else {
            return Answer(route: .disaggregated, reason: "the drivers' costs cannot be compared, so the manifest's two stages stand")
        }
        let words = "disaggregated \(text(a)) for \(apart.uncachedTokens) tokens, aggregated \(text(b)) for \(together.uncachedTokens) (\(a.clock.rawValue))"
        let better: Route = a.sum <= b.sum ? .disaggregated : .aggregated
        guard let last, last != better else { return Answer(route: better, reason: words) }
        let (staying, leaving) = last == .disaggregated ? (a.sum, b.sum) : (b.sum, a.sum)
        guard Double(staying) <= Double(leaving) * 1.2 else { return Answer(route: better, reason: words) }
        return Answer(route: last, reason: words + "; kept, for the other is not a fifth better")
    }

    private static func text(_ time: Way.Time) -> String {
        "\(micros(time.sum)) us (wait \(micros(time.wait)), prefill \(micros(time.prefill)), handoff \(micros(time.handoff)), from others \(micros(time.taken)))"
    }

    private static func micros(_ nanoseconds: UInt64) -> String {
        let tenths = nanoseconds / 100 + (nanoseconds % 100 >= 50 ? 1 : 0)
        return "\(tenths / 10).\(tenths % 10)"
    }
}
