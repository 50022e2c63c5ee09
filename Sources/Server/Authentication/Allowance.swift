/// What a client has left of its limits: buckets that fill over a minute. A value; times are given to it.
struct Allowance: Sendable {
    private let limits: ClientLimits
    private var requests: Double
    /// May be below nothing: how long a completion will be is known only at its end.
    private var tokens: Double
    private var filled: UInt64
    private(set) var running = 0

    /// Full.
    init(_ limits: ClientLimits, now: UInt64) {
        self.limits = limits
        requests = Double(limits.requestsPerMinute ?? 0)
        tokens = Double(limits.tokensPerMinute ?? 0)
        filled = now
    }

    /// Takes one request of `promptTokens` out, at `now` (nanoseconds, never falling).
    /// - Throws: `limited`, with when to ask again.
    mutating func begin(promptTokens: Int, now: UInt64) throws(Refusal) {
        fill(now)
        if let most = limits.concurrent, running >= most {
            throw Refusal(.limited, "this key has \(running) requests under way and may have \(most); wait for one to end", retryAfter: 1)
        }
        if let most = limits.requestsPerMinute, requests < 1 {
            throw Refusal(.limited, "this key may ask \(most) times a minute; ask again later", retryAfter: (1 - requests) / Double(most) * 60)
        }
        if let most = limits.tokensPerMinute {
            let needed = Double(min(promptTokens, most))
            guard tokens >= needed else {
                throw Refusal(.limited, "this key may use \(most) tokens a minute; ask again later", retryAfter: (needed - tokens) / Double(most) * 60)
            }
        }
        requests -= 1
        tokens -= Double(promptTokens)
        running += 1
    }

    /// A request that began has ended, after `completionTokens`.
    mutating func end(completionTokens: Int, now: UInt64) {
        fill(now)
        running = max(0, running - 1)
        tokens -= Double(completionTokens)
    }

    private mutating func fill(_ now: UInt64) {
        guard now > filled else { return }
        let minutes = Double(now - filled) / 60e9
        filled = now
        if let most = limits.requestsPerMinute { requests = min(Double(most), requests + minutes * Double(most)) }
        if let most = limits.tokensPerMinute { tokens = min(Double(most), tokens + minutes * Double(most)) }
    }
}
