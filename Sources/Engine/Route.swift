public import Driver

/// Which way a request goes.
public enum Route: String, Sendable {
    case disaggregated, aggregated

    /// What the manifest asks for.
    public enum Mode: String, Sendable {
        case auto, disaggregated, aggregated
    }

    /// What the two ways take of the decode device, as its driver states it; both on that device's clock.
    public struct Estimate: Sendable {
        /// Taking in KV that was made elsewhere.
        public var handoff: Cost
        /// Prefilling there.
        public var prefill: Cost
    }

    /// Pure. The decode device is what there is least of, so with `auto` a request goes the way that takes less of its time: its KV import
    /// against the prefill it would have to run itself.
    static func decide(_ mode: Mode, _ estimate: Estimate?) -> (route: Route, reason: String) {
        switch mode {
        case .disaggregated: return (.disaggregated, "the manifest asks for it")
        case .aggregated: return (.aggregated, "the manifest asks for it")
        case .auto: break
        }
        guard let estimate else { return (.disaggregated, "the decode device's driver gives no costs, so the manifest's two stages stand") }
        let (moved, made) = (estimate.handoff.nanoseconds, estimate.prefill.nanoseconds)
        let words = "of the decode device's time KV import takes \(micros(moved)) us and prefill would take \(micros(made)) us (\(estimate.prefill.clock.rawValue))"
        return moved <= made ? (.disaggregated, words) : (.aggregated, words)
    }

    private static func micros(_ nanoseconds: UInt64) -> String {
        let tenths = (nanoseconds + 50) / 100
        return "\(tenths / 10).\(tenths % 10)"
    }
}

extension Placement {
    /// What a prompt of `tokens` tokens takes of the decode devices either way; nil when a driver gives no costs.
    public func estimate(promptTokens tokens: Int) -> Route.Estimate? {
        do throws(DriverError) {
            guard let prefill = try decode.estimatePrefill(tokens: tokens) else { return nil }
            var handoff = Cost(clock: prefill.clock, nanoseconds: 0, flops: 0, bytes: 0, paddedTokens: 0)
            for link in handoffs where !link.plan.adopts {
                let bytes = link.plan.importBytes(tokens: tokens, layers: link.layers.count)
                let cost = try decode.parts[link.decodePart].estimate(.kvImport(bytes: UInt64(bytes), pieces: link.layers.count))
                guard cost.clock == prefill.clock else { return nil }
                handoff.nanoseconds += cost.nanoseconds
                handoff.bytes += cost.bytes
            }
            return Route.Estimate(handoff: handoff, prefill: prefill)
        } catch { return nil }
    }
}

extension PlacedPart {
    func estimate(_ work: Work) throws(DriverError) -> Cost {
        try library.estimate(work, program: outline, options: device.options)
    }
}

extension PlacedStage {
    /// A prompt of `tokens` tokens in chunks; nil when the parts' clocks differ.
    func estimatePrefill(tokens: Int) throws(DriverError) -> Cost? {
        var works: [Work] = []
        var start = 0
        while start < tokens {
            let count = min(chunk, tokens - start)
            let attended = UInt64(count) * UInt64(start) + UInt64(count) * UInt64(count + 1) / 2
            works.append(.run(tokens: count, sequences: 1, contextTokens: attended, rows: start + count == tokens ? 1 : 0))
            start += count
        }
        return try total(works)
    }

    /// One decode step at a context of `context` tokens.
    func estimateStep(context: Int) throws(DriverError) -> Cost? {
        try total([.run(tokens: 1, sequences: 1, contextTokens: UInt64(context), rows: 1)])
    }

    private func total(_ works: [Work]) throws(DriverError) -> Cost? {
        var sum: Cost?
        for part in parts {
            for work in works {
                let cost = try part.estimate(work)
                guard var so = sum else { sum = cost; continue }
                guard so.clock == cost.clock else { return nil }
                so.nanoseconds += cost.nanoseconds
                so.flops += cost.flops
                so.bytes += cost.bytes
                so.paddedTokens += cost.paddedTokens
                sum = so
            }
        }
        return sum
    }
}
