public import Driver

/// Which way a request goes.
public enum Route: String, Sendable {
    case disaggregated, aggregated

    /// What the manifest asks for.
    public enum Mode: String, Sendable {
        case auto, disaggregated, aggregated
    }

    /// The costs that decide, each as its driver states it.
    public struct Estimate: Sendable {
        public var prefillThere: Cost
        public var handoff: [Cost]
        public var prefillHere: Cost
    }

    /// Pure: with `auto`, the way on which the first token is ready for decode sooner. Costs on different clocks are not compared.
    static func decide(_ mode: Mode, _ estimate: Estimate?) -> (route: Route, reason: String) {
        switch mode {
        case .disaggregated: return (.disaggregated, "the manifest asks for it")
        case .aggregated: return (.aggregated, "the manifest asks for it")
        case .auto: break
        }
        guard let estimate else { return (.disaggregated, "a driver has no baton.cost, so the manifest's two stages stand") }
        let clocks = Set([estimate.prefillThere.clock, estimate.prefillHere.clock] + estimate.handoff.map(\.clock))
        guard clocks.count == 1 else { return (.disaggregated, "the devices' clocks differ, so their costs are not compared") }
        // Export and import overlap each other and most of prefill; what is left when prefill ends is at least their last piece.
        let apart = estimate.prefillThere.nanoseconds + (estimate.handoff.map(\.nanoseconds).max() ?? 0)
        let together = estimate.prefillHere.nanoseconds
        let words = "\(micros(apart)) us apart, \(micros(together)) us on the decode device (\(estimate.prefillHere.clock.rawValue))"
        return apart <= together ? (.disaggregated, words) : (.aggregated, words)
    }

    private static func micros(_ nanoseconds: UInt64) -> UInt64 { (nanoseconds + 500) / 1000 }
}

extension Placement {
    /// The costs of a prompt of `tokens` tokens; nil when a driver gives none.
    public func estimate(promptTokens tokens: Int) -> Route.Estimate? {
        func run(_ stage: PlacedStage) throws(DriverError) -> Cost? { try stage.estimatePrefill(tokens: tokens) }
        do throws(DriverError) {
            guard let there = try run(prefill), let here = try run(decode) else { return nil }
            var moves: [Cost] = []
            for link in handoffs where !link.plan.adopts {
                let (from, to) = (prefill.parts[link.prefillPart], decode.parts[link.decodePart])
                let out = link.plan.wireBytes(tokens: tokens, layers: link.layers.count)
                let into = link.plan.importBytes(tokens: tokens, layers: link.layers.count)
                moves.append(try from.estimate(.kvExport(bytes: UInt64(out), pieces: link.layers.count)))
                moves.append(try to.estimate(.kvImport(bytes: UInt64(into), pieces: link.layers.count)))
            }
            return Route.Estimate(prefillThere: there, handoff: moves, prefillHere: here)
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
