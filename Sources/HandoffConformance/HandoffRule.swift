import Driver
import DriverConformance
import Engine

/// One numbered rule of handing KV from a device to another, checked for every ordered pair of drivers. HandoffConformance.docc has the list.
public struct HandoffRule: Sendable {
    /// "H2".
    public var id: String
    public var sentence: String
    /// Gives what was measured; throws `HandoffBreach`.
    let check: @Sendable (HandoffPair) throws -> String

    public static let all = [
        HandoffRule(id: "H1", sentence: "The KV that arrives on B is A's, element by element, but for the casts on its way.", check: Self.arrives),
        HandoffRule(id: "H2", sentence: "After a handoff B gives A's logits, within what the dtypes round, and A's token wherever A's choice is not narrow.", check: Self.continues),
        HandoffRule(id: "H3", sentence: "Layer by layer beside prefill and all at once after it, a handoff brings the same bytes.", check: Self.overlaps),
        HandoffRule(id: "H4", sentence: "A prompt that is prefilled and handed over in chunks gives what the whole prompt gives.", check: Self.chunks),
        HandoffRule(id: "H5", sentence: "Every conversion that the two drivers' layouts ask for brings the same KV.", check: Self.converts),
        HandoffRule(id: "H6", sentence: "Where B adopts A's pool, it decodes over the same KV and no byte moves.", check: Self.adopts),
    ]

    /// H1
    private static func arrives(_ pair: HandoffPair) throws -> String {
        try pair.each { model in
            let outcome = try model.trial.across(pair.a(model), pair.b(model))
            try pair.holdKV(outcome, model.alone, "\(model.name), \(outcome.conversion)")
            return outcome.conversion
        }
    }

    /// H2
    private static func continues(_ pair: HandoffPair) throws -> String {
        try pair.each { model in
            let outcome = try model.trial.across(pair.a(model), pair.b(model))
            return try pair.holdLogits(outcome, model.alone, model)
        }
    }

    /// H3
    private static func overlaps(_ pair: HandoffPair) throws -> String {
        try pair.each { model in
            var trial = model.trial
            let beside = try trial.across(pair.a(model), pair.b(model))
            trial.overlapsLayers = false
            let after = try trial.across(pair.a(model), pair.b(model))
            guard beside.kv == after.kv else { throw HandoffBreach("\(model.name): KV that came layer by layer differs from KV that came after prefill") }
            return ""
        }
    }

    /// H4
    private static func chunks(_ pair: HandoffPair) throws -> String {
        try pair.each { model in
            var trial = model.trial
            trial.chunk = max(1, model.trial.prompt.count / 3)
            let outcome = try trial.across(pair.a(model), pair.b(model))
            return try pair.holdLogits(outcome, model.alone, model)
        }
    }

    /// H5
    private static func converts(_ pair: HandoffPair) throws -> String {
        try pair.each { model in
            let ways = try HandoffTrial.ways(pair.a(model), pair.b(model))
            for plan in ways {
                let outcome = try model.trial.across(pair.a(model), pair.b(model), plan)
                try pair.holdKV(outcome, model.alone, "\(model.name), \(plan)")
            }
            return ways.map(\.description).joined(separator: "; ")
        }
    }

    /// H6
    private static func adopts(_ pair: HandoffPair) throws -> String {
        try pair.each { model in
            guard let outcome = try model.trial.adopted(pair.a(model), pair.b(model)) else { return "adopt is not offered" }
            guard outcome.kv == model.alone.kv else { throw HandoffBreach("\(model.name): the pool that adopted A's holds other KV") }
            return try pair.holdLogits(outcome, model.alone, model)
        }
    }
}

/// B does not go on where A was: what was asked, what was found.
struct HandoffBreach: Error, CustomStringConvertible {
    var description: String
    init(_ words: String) { description = words }
}
